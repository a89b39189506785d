"""What a stage changed, weight by weight, from its folder and that of what it started from.

Of an adapter dW = L R is held as factors (``write_energy.Adapter``), float64; of a whole model one
matrix at a time is read and subtracted, when it is asked for. Names are ``write_energy.plain``. Shapes: X
experts or 1, T tokens, r rank, i input and o output width.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from implicit_sparsity.models import ffn, loading

from . import write_energy

EXPERT = re.compile(r"\.(\d+)\.(?:gate|up|down)_proj$")
FUSED = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}


@dataclass(frozen=True)
class Factored:
    """dW = left [X, o, r] right [X, r, i], float64."""

    left: torch.Tensor
    right: torch.Tensor

    def apply(self, x, expert: int = 0):
        """dW x of each row of x [T, i], float64 [T, o]."""
        left, right = (part[expert].to(x.device) for part in (self.left, self.right))
        return (x.double() @ right.T) @ left.T

    def matrix(self):
        """dW, float64 [X, o, i]."""
        return self.left @ self.right

    def energy(self) -> float:
        """||dW||_F^2"""
        gram = self.left.mT @ self.left
        return max(0.0, float((gram * (self.right @ self.right.mT)).sum()))


@dataclass(frozen=True)
class Whole:
    """dW of a weight of whole models, read when it is asked for. ``names``: of each expert (1 of a linear
    layer) its tensors, one below the other; ``fused``: one tensor of all experts, named for each."""

    folder: write_energy.Whole
    names: tuple
    fused: bool = False

    def apply(self, x, expert: int = 0):
        """dW x, [T, o]; of a matrix that grew what it was before: neither new rows nor new columns."""
        matrix = self._part(expert).to(x.device, torch.promote_types(x.dtype, torch.float32))
        return x.to(matrix.dtype) @ matrix[:, : x.shape[1]].T

    def matrix(self):
        """dW, [X, o, i]."""
        return torch.stack([self._part(expert) for expert in range(len(self.names))])

    def energy(self) -> float:
        """||dW||_F^2"""
        parts = (part for expert in range(len(self.names)) for part in self._tensors(expert))
        return float(sum(np.square(part, dtype=np.float64).sum() for part in parts))

    def _tensors(self, expert):
        parts = [self.folder.change(name, grown=True) for name in self.names[expert]]
        return [part[expert] for part in parts] if self.fused else parts

    def _part(self, expert):
        parts = self._tensors(expert)
        return torch.from_numpy(np.concatenate(parts) if len(parts) > 1 else np.array(parts[0]))


def layout_of(model) -> write_energy.Layout:
    """Of the config.json of a model folder: what tells an adapter's fused weights apart."""
    network = loading.skeleton(model)
    mixture = next((block for block in ffn.feed_forwards(network) if block.experts), None)
    hidden = network.config.get_text_config().hidden_size
    return write_energy.Layout(0, 0, hidden, *((mixture.experts, mixture.width) if mixture else ()))


def changes(folder, before, model) -> dict:
    """Plain name -> dW of every weight that a stage changed since ``before``, the folder of the stage that it
    went on from; None: the base ``model``. Weights of whole models that are as they were are left out."""
    if (Path(folder) / "adapter_config.json").is_file():
        factors = write_energy.Adapter(folder, layout_of(model), before).factors
        wide = {n: [torch.from_numpy(np.array(x, np.float64)) for x in pair] for n, pair in factors.items()}
        return {name: Factored(left, right) for name, (right, left) in wide.items()}
    whole, names = write_energy.Whole(folder, before or model), {}
    for name in whole.now:
        change = whole.change(name, grown=True)
        if change is not None and change.any():
            names[write_energy.plain(name)] = name
    result = {}
    for plain, name in names.items():
        if write_energy.FUSED.search(plain):
            result[plain] = Whole(whole, ((name,),) * whole.now.shape(name)[0], fused=True)
        elif not EXPERT.search(plain):
            result[plain] = Whole(whole, ((name,),))
    return result | _fused(whole, names)


def _fused(whole, changed: dict) -> dict:
    """The changes of experts that a folder has one by one, as the fused weights that a network has."""
    result = {}
    for block in dict.fromkeys(EXPERT.sub("", plain) for plain in changed if EXPERT.search(plain)):
        here = [n for n in whole.now if EXPERT.sub("", write_energy.plain(n)) == block]
        count = 1 + max(int(EXPERT.search(write_energy.plain(n))[1]) for n in here)
        for fused, parts in FUSED.items():
            names = [[_of(here, expert, part) for part in parts] for expert in range(count)]
            result[f"{block}.{fused}"] = Whole(whole, tuple(map(tuple, names)))
    return result


def _of(names, expert: int, part: str) -> str:
    return next(n for n in names if write_energy.plain(n).endswith(f".{expert}.{part}"))


def norms(folder, before, model) -> dict:
    """||dW||_F over all weights, of this stage (since ``before``, as in ``changes``) and since the base
    ``model``."""
    total = _norm(changes(folder, None, model))
    own = _norm(changes(folder, before, model)) if before else total
    return {"update_norm": own, "update_norm_since_base": total}


def _norm(changed: dict) -> float:
    return float(sum(change.energy() for change in changed.values()) ** 0.5)
