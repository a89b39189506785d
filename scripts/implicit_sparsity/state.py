"""A method's memory between stages: named tensors in one safetensors file."""

import json
from pathlib import Path

from .errors import InputError

FILE = "state.safetensors"


def save_state(folder, tensors: dict) -> None:
    """Write tensors (CPU, contiguous) to ``folder``; a tensor that stands under several names is written
    once."""
    from safetensors.torch import save_file

    first, aliases, unique = {}, {}, {}
    for name, tensor in sorted(tensors.items()):
        key = id(tensor)
        if key in first:
            aliases[name] = first[key]
        else:
            first[key] = name
            unique[name] = tensor.detach().cpu().contiguous()
    save_file(unique, str(Path(folder) / FILE), metadata={"aliases": json.dumps(aliases, sort_keys=True)})


def load_state(folder) -> dict:
    """The tensors that ``save_state`` wrote; {} where a stage left none. InputError for a damaged file."""
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / FILE
    if not path.is_file():
        return {}
    try:
        with safe_open(str(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            aliases = json.loads((file.metadata() or {}).get("aliases", "{}"))
    except SafetensorError as error:
        raise InputError(f"is damaged ({error}); delete its folder and run again", path=path) from error
    return tensors | {name: tensors[target] for name, target in aliases.items()}
