"""Words of figures: names for print, counts, and what the intervals of a picture are over."""

import textwrap

from implicit_sparsity.metrics.clusters import FEWEST_GROUPS

SCRATCH = "scratch-"  # how the revision of a model begins that was trained here, from nothing


def readable(name: str, width: int = 0) -> str:
    """A name of the config as words for print, in lines of at most ``width`` characters (0: one line)."""
    words = str(name).replace("_", " ")
    return textwrap.fill(words, width) if width else words


def size_of_set(k: float, top=None) -> str:
    """How large the sets of the most used are: a share of a layer below 1, with its neurons, or a count."""
    if k >= 1:
        return f"top {k:.0f}"
    return f"top {100 * k:g} %" + (f" ({top:.0f})" if top is not None else "")


def seeds_note(counts) -> str:
    """What repeated runs there are and what is drawn of them."""
    low, high = int(min(counts)), int(max(counts))
    if high == 1:
        return "n = 1 seed: no interval."
    runs = f"n = {low}" if low == high else f"n = {low} to {high}"
    return f"{runs} seeds: mean and range (lowest to highest)."


def origin_note(frame) -> str:
    """Which models were trained from scratch here, by the column ``revision``: none of them is pretrained."""
    small = frame["revision"].str.startswith(SCRATCH)
    if not small.any():
        return ""
    names = sorted(map(readable, set(frame.loc[small, "model"])))
    who = "All models were" if small.all() else f"{', '.join(names)}:"
    return f"{who} trained from scratch on this study's own training splits. "


def span(counts) -> str:
    """A count, or the lowest and the highest of several."""
    low, high = min(counts), max(counts)
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def documents(frame) -> str:
    """How many documents, and groups of them, the rows of ``frame`` (n, groups) are measured on."""
    return f"{span(frame['n'])} documents in {grouped(frame)}"


def grouped(frame) -> str:
    """How many groups of documents (column ``groups``), and whether those are too few."""
    few = f" (below {FEWEST_GROUPS}: not to be trusted)" if frame["groups"].min() < FEWEST_GROUPS else ""
    return f"{span(frame['groups'])} groups{few}"
