"""docs/models.md, rendered from the registry of architectures and from what methods and measurements say.

``PYTHONPATH=scripts python -m implicit_sparsity.planning.family_docs > docs/models.md``; a test says when it
is due.
"""

from implicit_sparsity.models.families import FAMILIES, WRAPPERS
from implicit_sparsity.workflow import source

from . import refusals

HEAD = """# Models

Rendered by `PYTHONPATH=scripts python -m implicit_sparsity.planning.family_docs`: not to be edited by hand.

A model is known by the `model_type` of its `config.json`. One that is not in the table is refused by name:
by the plan, and when it is prepared, for a hub model before its weights come. For each that is, a test
compares a small network with transformers' own `forward`: losses, gradients, greedy answers, packed
documents, feed-forward neurons (`tests/models/test_families.py`). So one is added in
`scripts/implicit_sparsity/models/families.py`, with a small configuration in `tests/families.py`, where all
of them pass. Not taken are layers without a gate (GPT-2, Phi-2, StarCoder2, nanochat), experts in another
form (gpt-oss), Mamba and its hybrids, encoder-decoders, and vision-language checkpoints but for those below
the table.

* **Behind the head**: what the model does to its head's output. Losses, choices, KL, Fisher information and
  every method's objective are of the model's own logits, this included; a bias of the head and padded rows
  too.
* **Greedy answers** are the likeliest token each time until the template's end, whatever the checkpoint
  ships: sampling, temperature, penalties, forced or suppressed tokens, lengths, other ends of
  `generation_config.json` are not read. An export has the file as it was.
* **Cannot take**: methods and measurements that with their default options are refused by the preflight, in
  one line that says why and which option helps. It looks at the layers: a configuration may have others than
  its family's as published. All else is taken; probes read the measurements, those of routing say nothing of
  dense layers.
"""


WORDS = {  # of traits, in this order
    "dense": "dense",
    "fused": "gate and up in one weight",
    "all_routed": "routed experts alone",
    "mixed": "some dense, some mixtures",
    "eager": "one attention kernel",
}


def render() -> str:
    """The whole page."""
    head = ["`model_type`", "behind the head", "layers", "cannot take"]
    wrapped = ", ".join(f"`{outer}` (`{inner}`)" for outer, inner in WRAPPERS.items())
    tail = f"\nVision-language checkpoints of which the text model alone is loaded:\n{wrapped}."
    return "\n".join([HEAD, _table(head, [_row(name) for name in FAMILIES]), tail, ""])


def _row(name: str) -> list[str]:
    family = FAMILIES[name]
    does = f"{family.logits.words} `{family.logits.field}`" if family.logits else ""
    traits = {*family.traits, *(["eager"] if family.eager else [])}
    layers = [words for trait, words in WORDS.items() if trait in traits] or ["mixtures with a shared expert"]
    refused = [
        f"`{module}`"
        for room in ("methods", "measurements")
        for module in sorted(source.available(room))
        if refusals.reason(traits, module, room=room)
    ]
    return [f"`{name}`", does, ", ".join(layers), ", ".join(refused)]


def _table(head, rows) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    print(render(), end="")
