"""Nano checkpoints as Qwen3.5 is published: vision-language, with a prediction head (MTP) that no class here
has.

Keys: model.language_model.*, model.visual.*, mtp.*, lm_head.weight where it is not tied. Experts are stored
fused, one tensor for all (E, 2I, H), or each for itself; transformers reads both.
"""

import networks

VISION = {
    "depth": 1,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "patch_size": 4,
    "out_hidden_size": networks.DENSE["hidden_size"],
    "num_position_embeddings": 16,
}
TOKENS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


def make(folder, kind: str, unfused: bool = False, shards: int = 2):
    """The folder of a checkpoint, and the whole multimodal network it was made from, in eval mode."""
    import torch
    from safetensors.torch import save_file
    from transformers import (
        Qwen3_5Config,
        Qwen3_5ForConditionalGeneration,
        Qwen3_5MoeConfig,
        Qwen3_5MoeForConditionalGeneration,
    )

    classes = {
        "dense": (Qwen3_5Config, Qwen3_5ForConditionalGeneration),
        "mixture": (Qwen3_5MoeConfig, Qwen3_5MoeForConditionalGeneration),
    }
    config, network = classes[kind]
    text = networks.CONFIGS[kind] | {"tie_word_embeddings": False}  # as both published models
    special = {name: 300 + place for place, name in enumerate(TOKENS)}
    torch.manual_seed(1)
    whole = network(config(text_config=text, vision_config=VISION, **special)).eval()
    whole.config.architectures = [network.__name__]
    folder.mkdir(parents=True)
    whole.config.save_pretrained(str(folder))
    networks.make_tokenizer(folder)
    tensors = {name: tensor.contiguous() for name, tensor in whole.state_dict().items()}
    tensors = split_experts(tensors) if unfused else tensors
    width = text["hidden_size"]
    tensors |= {"mtp.fc.weight": torch.randn(width, 2 * width), "mtp.norm.weight": torch.randn(width)}
    save_shards(folder, tensors, shards, save_file)
    return folder, whole


def split_experts(tensors: dict) -> dict:
    """Every expert under a number of its own, as checkpoints of earlier Qwen mixtures are."""
    result = {}
    for name, tensor in tensors.items():
        if ".mlp.experts." not in name:
            result[name] = tensor
            continue
        stem, which = name.rsplit(".", 1)
        for number, expert in enumerate(tensor):
            if which == "down_proj":
                result[f"{stem}.{number}.down_proj.weight"] = expert.clone()
            else:
                gate, up = expert.chunk(2)
                result[f"{stem}.{number}.gate_proj.weight"] = gate.clone()
                result[f"{stem}.{number}.up_proj.weight"] = up.clone()
    return result


def save_shards(folder, tensors: dict, shards: int, save_file):
    """Shards and their index, named as the hub's are."""
    from implicit_sparsity.storage.files import write_json

    names = sorted(tensors)
    placed = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        mine = names[number::shards]
        save_file({name: tensors[name] for name in mine}, folder / file, metadata={"format": "pt"})
        placed |= dict.fromkeys(mine, file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    write_json(
        folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": placed}
    )
