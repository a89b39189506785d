"""The factors of a LoRA folder, and arithmetic on the product L R that never forms it. NumPy.

Shapes: X experts or 1, r rank, i input and o output width; R = A [X, r, i], L = B [X, o, r], float64 and
times the adapter's scale.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import read_json
from implicit_sparsity.storage.tensors import Tensors


def read(folder, layout) -> tuple[dict, int]:
    """({name of a weight: (A [X, r, i], B [X, o, r] times the scale)}, rank) of a PEFT LoRA; ``layout``: of
    its network, ``write_energy.Layout``. InputError for any other kind of adapter."""
    config = read_json(Path(folder) / "adapter_config.json")
    unsupported = [
        key for key in ("rank_pattern", "alpha_pattern", "modules_to_save", "use_dora") if config.get(key)
    ]
    if config["peft_type"] != "LORA" or unsupported:
        what = f"LoRA with {unsupported[0]}" if unsupported else config["peft_type"]
        raise InputError(f"an adapter of kind {what}: only plain LoRA is read", path=folder)
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    tensors, result = Tensors(Path(folder) / "adapter_model.safetensors"), {}
    for name in tensors:
        if ".lora_A." not in name:
            continue
        a, b = tensors[name], tensors[name.replace(".lora_A.", ".lora_B.")]
        name = name.split(".lora_A.")[0].removeprefix("base_model.model.")
        if re.search(r"\.experts(\.base_layer)*$", name):  # the name of a fused parameter is not kept
            experts, (_, wide) = layout.experts, a.shape
            kind = "gate_up" if (wide, len(b)) == (layout.hidden, 2 * layout.width) else "down"
            name = f"{name.replace('.base_layer', '')}.{kind}_proj"
        else:
            experts = 1
        a = a.reshape(experts, -1, a.shape[1])
        b = b.reshape(len(b), -1, experts).transpose(2, 0, 1)
        result[name.replace(".base_layer", "")] = a, scale * b.astype(np.float64)
    return result, int(config["r"])


def difference(now, old) -> tuple:
    """(R, L) of what the product L R of ``now`` has beyond that of ``old``, two such pairs: both side by
    side, but for the ranks that both have, bit for bit. An adapter that was stacked on another holds it as it
    was, so that its own rank is what is left.
    """
    (right, left), (right_before, left_before) = now, old
    terms = [[a[:, k].tobytes() + b[:, :, k].tobytes() for k in range(a.shape[1])] for a, b in (now, old)]
    both = Counter(terms[0]) & Counter(terms[1])
    new, gone = (_left_over(own, both.copy()) for own in terms)
    return (
        np.concatenate([right[:, new], right_before[:, gone]], 1),
        np.concatenate([left[:, :, new], -left_before[:, :, gone]], 2),
    )


def _left_over(terms, taken: Counter) -> list[int]:
    """Numbers of the terms that are left where so many of each are taken."""
    result = []
    for number, term in enumerate(terms):
        if taken[term]:
            taken[term] -= 1
        else:
            result.append(number)
    return result


def product_energies(left, right, axis: int) -> np.ndarray:
    """Energy of the rows (``axis`` 0) or columns (1) of L R, ``[X, o, r] x [X, r, i] -> [X, o]`` or ``[X,
    i]``.
    """
    left, right = (np.asarray(x, dtype=np.float64) for x in (left, right))
    if axis == 0:
        energy = ((left @ (right @ right.swapaxes(1, 2))) * left).sum(axis=2)
    else:
        energy = (((left.swapaxes(1, 2) @ left) @ right) * right).sum(axis=1)
    return np.maximum(energy, 0.0)
