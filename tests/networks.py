"""Nano networks and token folders for tests: real architectures at toy width, random weights, real files."""

import json
import os

import layouts
import numpy as np

os.environ.setdefault("HF_HUB_OFFLINE", "1")

DENSE = {
    "model_type": "qwen3_5_text",
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "tie_word_embeddings": True,
    "initializer_range": 0.2,  # large enough that a change of a weight shows in the logits
}
MIXTURE = {key: value for key, value in DENSE.items() if key != "intermediate_size"} | {
    "model_type": "qwen3_5_moe_text",
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 24,
    "num_experts": 8,
    "num_experts_per_tok": 2,
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "initializer_range": 0.2,
}
CONFIGS = {"dense": DENSE, "mixture": MIXTURE, "llama": LLAMA}
TEMPLATE = {"before": "<|im_start|>", "between": "\n", "after": "<|im_end|>"}
TRAINING = {
    "steps": 4,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "warmup": 1,
    "weight_decay": 0.01,
    "clip": 1.0,
    "checkpoint_every": 100,
    "constraint_tolerance": 1e-4,
    "device": "cpu",
}
LENGTHS = (7, 70, 33, 5)  # 70: over one chunk of the Gated DeltaNet
WORDS = {
    "code": ["def", "return", "self", "import", "class", "for", "while", "yield", "none", "true"],
    "math": ["sum", "plus", "minus", "times", "equals", "number", "total", "each", "half", "twice"],
    "medical": [
        "fever",
        "heart",
        "disorder",
        "abnormal",
        "cell",
        "bone",
        "renal",
        "acute",
        "chronic",
        "skin",
    ],
}
# what the tokenizer has merges for beside these: a short document in plain English has few tokens
ENGLISH = """
user assistant user assistant user assistant user assistant user assistant the of and to in is you that it
for was on are with as his they be at one have this from or had by hot but some what there we can out other
were all your when up use word how an each she which do their time if will way about many then them would
write like so these her long make thing see him two has look more day could go come did sound no most who
over know water than call first people may down side been now find any new work part take get place made
live where after back little only round man year came show every good me give our under name very through
just form much great think say help low line before turn cause same mean differ move right boy old too does
tell sentence set three want air well also play small end put home read hand port large spell add even land
here must big high such follow act why ask men change went light kind off need house picture try us again
animal point mother world near build self earth father river lamp stone window garden paper train winter
orange bridge candle market forest pocket silver triple ratio odd prime
"""


def config(kind: str) -> dict:
    """The configuration of a kind: one of CONFIGS, or a form of feed-forward layers (``layouts``)."""
    return CONFIGS.get(kind) or layouts.LAYOUTS[kind][0]


def make_model(folder, kind: str, seed: int = 0):
    """A model folder of this kind with random weights, a BPE tokenizer and a manifest: as a user has it, so
    of any family of transformers, one that ``loading.create`` refuses too."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from implicit_sparsity.storage.files import write_json

    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config(kind)), dtype=torch.float32)
    network.save_pretrained(str(folder))
    make_tokenizer(folder)
    write_json(folder / "manifest.json", {"revision": "random", "files": {"kind": kind}})
    return folder


def make_tokenizer(folder):
    """A BPE tokenizer of the words of all domains, in a model's folder."""
    from implicit_sparsity.models import loading
    from implicit_sparsity.training import pretraining

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    texts = [*(" ".join(words) for words in WORDS.values()), " ".join(ENGLISH.split())]
    tokenizer = pretraining.train_tokenizer(texts, 320, specials)
    loading.save_tokenizer(tokenizer, folder, "<|im_end|>")


def make_tokens(folder, model, domain: str, documents: int = 24, shortest: bool = False):
    """A token folder of one domain: sentences of its own words; choices and numeric answers in eval.

    shortest: the first document of a split is one of the tokenizer's words, so that it has no content.
    """
    from implicit_sparsity.corpora import shards

    random, splits = np.random.default_rng(sum(map(ord, domain))), folder.parent / f"{folder.name}.splits"
    splits.mkdir(parents=True)
    for split in ("train", "probe_a", "probe_b", "select", "eval"):
        records = []
        for number in range(documents):
            words = random.choice(WORDS[domain], size=int(random.integers(6, 14))).tolist()
            answer = str(number)
            record = {
                "id": f"{split}-{number}",
                "group": f"{split}-{number}",
                "source": "words",
                "prompt": " ".join(words[:3]),
                "completion": " ".join(words[3:]) + f" #### {answer}",
                "licence": "CC0-1.0",
                "answer": answer,
            }
            if shortest and not number:
                record["completion"] = "a"
            if split == "eval":
                right = record["completion"]
                record |= {"choices": [right, "wrong one", "wrong two"], "correct": 0}
            records.append(json.dumps(record))
        (splits / f"{split}.jsonl").write_text("\n".join(records) + "\n")
    options = {"max_length": 64, "min_completion": 2, "on_long": "truncate", "shards": 1}
    shards.tokenize(folder, model, splits, options | {"template": TEMPLATE})
    return folder


def documents(lengths=LENGTHS, seed=0):
    """Random documents as a token folder has them, of these lengths; the last token is a stop token."""
    from implicit_sparsity.corpora.tokens import Document

    random = np.random.default_rng(seed)
    rows = [random.integers(3, 300, n).astype(np.uint32) for n in lengths]
    return [Document(ids, np.arange(len(ids)) < 3, {"stop": int(len(ids) > 3)}) for ids in rows]


def document(ids, prompt, group=None):
    """A document of these ids, ``prompt`` of them its prompt; a group of its own where none is named."""
    from implicit_sparsity.corpora.tokens import Document

    return Document(np.array(ids, np.uint32), np.arange(len(ids)) < prompt, {"group": group or str(ids)})


def network(kind, **more):
    """A frozen network with random weights, in torch's default precision."""
    import torch

    from implicit_sparsity.models import loading

    model = loading.create(CONFIGS[kind] | more, 0).to(torch.get_default_dtype())
    return model.requires_grad_(False).eval()


def logits(model, ids):
    """Of token ids [B, T] without padding, [B, T, V]."""
    import torch

    with torch.no_grad():
        return model(input_ids=ids).logits


def log_probabilities(model, ids):
    """Of the token after each but the last, [T - 1, V], one sequence without padding, from plain logits, in
    float64."""
    import torch

    ids = torch.from_numpy(np.asarray(ids).astype(np.int64))
    return model(input_ids=ids[None]).logits[0, :-1].double().log_softmax(-1)


def token_nats(model, ids):
    """-log p(token | before), [T], float64; 0 of the first."""
    import torch

    ids = np.asarray(ids).astype(np.int64)
    nats = -log_probabilities(model, ids)[range(len(ids) - 1), ids[1:]]
    return torch.cat([nats.new_zeros(1), nats])


def make_and_load(folder, kind: str = "llama"):
    """(model folder, its network)."""
    from implicit_sparsity.models import loading

    model = make_model(folder / "models" / "nano", kind)
    return model, loading.load(model, device="cpu")


def make_adapter(network, folder, fill, rank: int = 4) -> dict:
    """A LoRA folder whose factors ``fill(name, a, b)`` writes: a [X, r, i], b [X, o, r]; its updates."""
    import torch

    from implicit_sparsity.models import adapters, lowrank

    wrapped = adapters.add_lora(network, rank, 2 * rank, init_lora_weights=False)
    with torch.no_grad():
        for name, factor in lowrank.factors(wrapped).items():
            fill(name, *factor.views)
    wrapped.save_pretrained(str(folder))
    deltas = {}
    for name, factor in lowrank.factors(wrapped).items():
        a, b = (x.detach().double() for x in factor.views)
        deltas[name] = 2.0 * (b @ a)
    wrapped.unload()
    return deltas
