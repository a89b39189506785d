"""How much a method holds of what it was asked to hold, for the log and for the stage's record."""

import logging

import numpy as np

from implicit_sparsity.models.weight_names import kind_of

log = logging.getLogger(__name__)


def reached(held: dict, asked: float | None, cap: str) -> dict:
    """{asked, capped: share of weights that hold less, and by kind {min, median}} of {weight: share held}; a
    warning where there are such weights. ``asked``: None where a number of directions is asked for; ``cap``:
    the option that wins over it."""
    kinds: dict = {}
    for name, share in held.items():
        kinds.setdefault(kind_of(name), []).append(share)
    numbers = {k: {"min": float(np.min(v)), "median": float(np.median(v))} for k, v in sorted(kinds.items())}
    short = [name for name, share in held.items() if asked is not None and share < asked - 1e-6]
    if short:
        least = min(short, key=held.get)
        log.warning(
            "%s binds in %d of %d weights: energy %g is asked for, %s holds %.3f; raise %s, or ask for less",
            *(cap, len(short), len(held), asked, least, held[least], cap),
        )
    return {"asked": asked, "capped": len(short) / max(1, len(held))} | numbers
