"""How much of what was forgotten comes back, with how many documents, and whose?

Of each old domain, and of ``all`` (their mean), in nats per content token of held-out documents:
``loss_content`` at the checkpoint (0 documents) and after so many documents of ``source`` (own: the domain's
own; unrelated: another's; base: its own, taught to the base model instead); ``forgotten``: loss less that
after the domain's own stage; ``recovered``, the spurious part of it: loss less that after teaching;
``remaining``, the real part: loss after teaching less that after the own stage; ``share``: recovered over
forgotten, undefined where nothing is forgotten for certain; ``savings``: the base model's loss after the same
documents less the checkpoint's, what it still has that they do not teach. Intervals are over groups.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, recovery

from .base import Probe, where

NATS = "nats per content token"
ALL = "all"


@dataclass
class Recovery(Probe):
    """Losses of old domains after teaching, beside the own stages' and the base model's."""

    NEEDS: ClassVar[tuple] = ("relearning", "relearning_base")
    COLUMNS: ClassVar[tuple] = (
        "domain",
        "source",
        "documents",
        "quantity",
        "value",
        "low",
        "high",
        "n",
        "groups",
    )
    COLUMNS += ("trusted", "unrelated", "unit")

    def rows(self, here, base):
        if not here:
            return []
        now, before = _read(here[""]), _read(base[""]) if base else None
        if before and before.options != now.options:
            raise InputError("measured with other options than the base model", key=where(here[""]))
        domains = list(now.losses)
        parts = {domain: [domain] for domain in domains} | {ALL: domains}
        return [
            {"domain": name, "unrelated": now.unrelated} | row
            for name, part in parts.items()
            for row in _rows(now, before, part)
        ]


@dataclass
class _Read:
    """A store. losses: domain -> {(source, documents): [n]} of what was measured, and ("own_stage", 0)."""

    losses: dict
    groups: dict
    options: dict
    unrelated: str
    trained: bool


def _read(store) -> _Read:
    loss = store["loss_content"].transpose("domain", "source", "taught", "document").values
    own = store["own_stage"].transpose("domain", "document").values
    sources, taught = store["source"].values.tolist(), store["taught"].values.tolist()
    losses, groups = {}, {}
    for d, domain in enumerate(store["domain"].values.tolist()):
        series = {("", 0): loss[d, 0, 0], ("own_stage", 0): own[d]}
        for s, source in enumerate(sources):
            series |= {(source, count): loss[d, s, t] for t, count in enumerate(taught) if count}
        valid = ~np.isnan(series["", 0])  # of the documents that have content
        if not valid.any():
            raise InputError(f"no document of {domain} has content that is scored", key=where(store))
        measured = {key: values[valid] for key, values in series.items() if not np.isnan(values).all()}
        if bad := [key for key, values in measured.items() if not np.isfinite(values).all()]:
            raise InputError(f"the loss of {domain} after {bad[0]} is not finite", key=where(store))
        losses[domain] = measured
        groups[domain] = store["group"].transpose("domain", "document").values[d][valid]
    trained = store.attrs["checkpoint"] != "base"
    return _Read(losses, groups, store.attrs["options"], store.attrs.get("unrelated", ""), trained)


def _rows(now, before, domains):
    """Rows of one domain, or of the mean of several."""
    groups = [now.groups[domain] for domain in domains]

    def of(key, read=now):
        return [read.losses[domain][key] for domain in domains]

    def row(source, count, quantity, values, over=None):
        ratio = over is not None
        part = recovery.share(values, over, groups) if ratio else recovery.mean(values, groups)
        keys = {"source": source, "documents": count, "quantity": quantity} | part._asdict()
        return keys | {"trusted": clusters.trusted(part.groups), "unit": "1" if ratio else NATS}

    start = of(("", 0))
    yield row("", 0, "loss_content", start)
    taught = [key for key in now.losses[domains[0]] if key[1]]
    if not now.trained:
        for source, count in taught:
            after = of((source, count))
            yield row(source, count, "loss_content", after)
            yield row(source, count, "recovered", _less(start, after))
        return
    own = of(("own_stage", 0))
    forgotten = _less(start, own)
    yield row("own_stage", 0, "loss_content", own)
    yield row("", 0, "forgotten", forgotten)
    for source, count in taught:
        after = of((source, count))
        yield row(source, count, "loss_content", after)
        yield row(source, count, "recovered", _less(start, after))
        yield row(source, count, "remaining", _less(after, own))
        yield row(source, count, "share", _less(start, after), forgotten)
    for source, count in [("", 0), *(key for key in taught if key[0] == "own")] if before else ():
        if all((source, count) in before.losses[domain] for domain in domains):
            from_base = of((source, count), before)
            yield row("base", count, "remaining", _less(from_base, own))
            yield row("base", count, "savings", _less(from_base, of((source, count))))


def _less(a, b) -> list:
    return [x - y for x, y in zip(a, b, strict=True)]
