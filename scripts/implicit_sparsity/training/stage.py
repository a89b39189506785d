"""One stage of an order: the network, the documents and the past that a method may ask for."""

import copy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, ffn, loading, lowrank, processes
from implicit_sparsity.models.batching import collate, sorted_batches, to_device
from implicit_sparsity.randomness import stream_seed
from implicit_sparsity.storage import files
from implicit_sparsity.storage.tensors import load_state, save_state


@dataclass
class Stage:
    """Training on the last of ``domains``, after the others. ``tokens`` are token folders of the last
    domains, of all where the method reads old ones.

    ``model`` is the base network, loaded once; ``begin`` of a method may put an adapter on it or add an
    earlier one.
    """

    model_folder: str
    domains: list
    tokens: list
    seed: int
    training: dict
    previous: str | None = None
    device: str | None = None
    model: object = field(default=None, repr=False)

    def __post_init__(self):
        if self.model is None:
            # of several processes each gives its GPU only the part of the weights that it is to hold
            device = "cpu" if processes.world() > 1 else self.device
            self.model = loading.load(self._source(), device=device, **loading.settings(self.training))

    def _source(self) -> str:
        """The folder that the network comes from: a stage before that left a whole model takes the base's
        place."""
        return self.previous if self.previous and adapters.is_whole(self.previous) else self.model_folder

    @property
    def domain(self) -> str:
        return self.domains[-1]

    def stream(self, *names) -> int:
        """The seed of a named stream of this stage."""
        return stream_seed(self.seed, str(len(self.domains)), self.domain, *names)

    def seed_everything(self, name: str) -> None:
        torch.manual_seed(self.stream(name))

    def documents(self, split: str, domain: str | None = None) -> list:
        """The token documents of one split of a domain, the new one by default."""
        folder = self.tokens[self.domains.index(domain or self.domain) - len(self.domains)]
        documents = Tokens(folder).split(split)
        if not len(documents):
            raise InputError(f"split {split} has no documents", path=folder)
        return [documents[i] for i in range(len(documents))]

    def select_documents(self) -> list:
        """The documents that masks and subspaces are read from: never those that measure."""
        return self.documents("select")

    def select_batches(self, tokens: int, batch_tokens: int = 512):
        """The first documents of the select split that hold ``tokens`` tokens, as batches on the model's
        device."""
        chosen, count = [], 0
        for document in self.select_documents():
            if count >= tokens:
                break
            chosen.append(document)
            count += len(document.ids)
        device = next(self.model.parameters()).device
        for batch in sorted_batches([len(document.ids) for document in chosen], batch_tokens):
            yield to_device(collate([chosen[i] for i in batch]), device)

    def save(self, method, folder, tensors: dict) -> None:
        """Write what a stage leaves: the method's adapter as PEFT reads it (or the whole model, for
        transformers), and state for the next stage."""
        method.save(self, folder)
        if method.adapter:
            path = Path(folder) / "adapter_config.json"
            config = files.read_json(path)
            # PEFT keeps these as a set: their order would differ from process to process
            config["target_modules"] = sorted(config["target_modules"])
            files.write_json(path, config)
        save_state(folder, tensors)

    def previous_state(self) -> dict:
        """The tensors that the stage before left for this one; {} at the first."""
        return load_state(self.previous) if self.previous else {}

    def keep_previous(self) -> None:
        """Let the model compute with the earlier stages' adapter, frozen, so that a new one starts from what
        they learnt."""
        self.model = adapters.with_adapter(self.model, self.previous)

    def save_stacked(self, folder) -> None:
        """Write this stage's LoRA and the earlier stages' as one, of the sum of their ranks."""
        config = copy.deepcopy(self.model.peft_config["default"])
        scale = config.lora_alpha / config.r
        old = load_file(str(Path(self.previous) / "adapter_model.safetensors"))
        experts = ffn.experts_of(ffn.feed_forwards(self.model)) or 1
        new = {name: tensor.cpu() for name, tensor in get_peft_model_state_dict(self.model).items()}
        state = lowrank.stack(old, new, experts)
        config.r = config.r * len(self.domains)
        config.lora_alpha, config.inference_mode = scale * config.r, True
        config.save_pretrained(str(folder))
        save_file(state, str(Path(folder) / "adapter_model.safetensors"), metadata={"format": "pt"})
