"""Controls of the activation pass: the same documents with one difference between domains taken away.

``bare``: without the template, which all domains share and which may hide what differs. ``matched``: only
tokens whose id occurs in every domain, equally often in every half of every domain (the first occurrences;
the network still reads the whole document), so that other words alone cannot make other neurons. Both
halves of all domains get one budget, that of the half with the fewest tokens. Shapes: T tokens of a
document.
"""

from dataclasses import replace

import numpy as np

from implicit_sparsity.errors import InputError

from .activation_pass import Taken, take_tokens

NAMES = ("bare", "matched")


def budgets(name: str, halves: dict, template, special_ids, options: dict, bos=()) -> dict:
    """(domain, half) -> ``Taken`` as ``take_tokens`` gives it, of the documents it takes.

    halves: (domain, half) -> documents; template: ids (before, between, after), of which ``bos`` begin
    every text that the model reads, and stay. Raises InputError where no token is left.
    """
    if name not in NAMES:
        raise InputError(f"{name!r} is not one of {', '.join(NAMES)}", key="probes.activations.controls")
    rules = options["tokens"], options["skip_first"], special_ids
    taken = {key: take_tokens(documents, *rules) for key, documents in halves.items()}
    if name == "matched":
        return matched(taken)
    plain, cut = {}, {}
    for key, (_, _, _, first) in taken.items():
        plain[key] = [without_template(document, template, bos) for document in first]
        cut[key] = sum(len(document.ids) for document in first) - sum(len(p.ids) for p in plain[key])
    fewest = min(_count(take_tokens(documents, *rules).keeps) for documents in plain.values())
    if not fewest:
        raise InputError("without the template no token is left", key="probes.activations.controls")
    again = {key: take_tokens(documents, fewest, *rules[1:]) for key, documents in plain.items()}
    return {key: x._replace(excluded=x.excluded | {"control": cut[key]}) for key, x in again.items()}


def without_template(document, template, bos=()):
    """The document's prompt and completion alone, after ``bos``. InputError where they do not stand in this
    template."""
    before, between, after = (list(map(int, part)) for part in template)
    ids, prompt = np.asarray(document.ids), np.asarray(document.prompt, dtype=bool)
    context, completion = ids[prompt], ids[~prompt]
    if context[: len(before)].tolist() != before or (
        between and context[len(context) - len(between) :].tolist() != between
    ):
        raise InputError("a document does not begin with the template of its index.json")
    context = np.concatenate([context[: len(bos)], context[len(before) : len(context) - len(between)]])
    # a document that was cut at max_length has no end of the template
    if after and completion[len(completion) - len(after) :].tolist() == after:
        completion = completion[: len(completion) - len(after)]
    retained = np.arange(len(context) + len(completion)) < len(context)
    meta = document.meta | {"stop": 0}
    return replace(document, ids=np.concatenate([context, completion]), prompt=retained, meta=meta)


def matched(taken: dict) -> dict:
    """Of each id, keep the first occurrences, as many as the half that has fewest of it has."""
    counts = [np.unique(_retained(ids, keeps), return_counts=True) for ids, keeps, *_ in taken.values()]
    size = 1 + max((int(ids[-1]) for ids, _ in counts if len(ids)), default=0)
    table = np.zeros((len(counts), size), dtype=np.int64)
    for row, (ids, count) in zip(table, counts):
        row[ids] = count
    share = table.min(axis=0)
    if not share.any():
        raise InputError(
            "no token occurs in both halves of every domain: leave out matched, or raise the budget",
            key="probes.activations.controls",
        )
    result = {}
    for key, (ids, keeps, excluded, documents) in taken.items():
        left, narrowed = share.copy(), []
        for tokens, keep in zip(ids, keeps):
            here = np.zeros(len(tokens), dtype=bool)
            for position in np.flatnonzero(keep):
                token = int(tokens[position])
                if token < size and left[token] > 0:
                    left[token] -= 1
                    here[position] = True
            narrowed.append(here)
        out = _count(keeps) - _count(narrowed)
        some = [i for i, keep in enumerate(narrowed) if keep.any()]
        ids, narrowed, documents = ([values[i] for i in some] for values in (ids, narrowed, documents))
        result[key] = Taken(ids, narrowed, excluded | {"control": out}, documents)
    return result


def _retained(ids, keeps):
    retained = [np.asarray(tokens)[keep] for tokens, keep in zip(ids, keeps)]
    return np.concatenate(retained) if retained else np.zeros(0, dtype=np.int64)


def _count(keeps) -> int:
    return int(sum(keep.sum() for keep in keeps))
