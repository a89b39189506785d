"""Wrong choices for eval documents that come without any, such that words shared with the prompt do not tell.

* A worked solution that ends in its answer ("#### 48"): it with another result (wrong_results.py).
* A Python function: its body with one thing changed (mutants.py).
* Any other text: completions of other documents of the source, those of its group first, close in length.
  None is the right one or another choice in other spacing, case, punctuation or form of a number
  (sameness.py), or an answer to the same question. The right one shares more words with the prompt than a
  number of them that is drawn anew for each document; where no other shares as many, the document gets no
  choices.

Only documents with a short completion get choices, and none whose source has many good answers (``open``).
``correct`` is written for every eval document that has choices.
"""

from .choice_baselines import shared_words
from .mutants import mutants
from .sameness import bare, key
from .sampling import order_key
from .wrong_results import wrong_results

NEAREST = 8  # distractors are drawn among this many completions of the nearest length


def with_choices(records: list[dict], count: int, max_chars: int, seed: int) -> list[dict]:
    """The records, ``choices`` and ``correct`` added where they can be; ``answer`` stays as it was."""
    given = [record for record in records if "choices" in record]
    others = [record for record in records if "choices" not in record and not record.get("open")]
    short = [record for record in others if len(record["completion"]) <= max_chars]
    made = {record["id"]: record | {"correct": record["choices"].index(record["answer"])} for record in given}
    if count:
        for record in short:
            made[record["id"]] = _distracted(record, short, count, seed)
    return [made.get(record["id"], record) for record in records]


def _distracted(record: dict, others: list[dict], count: int, seed: int) -> dict:
    own = record["completion"]

    def drawn(text: str) -> bytes:
        return order_key(seed, f"{record['id']}:{text}")

    changed = wrong_results(record)
    if changed is None:
        changed = mutants(record["prompt"], own)
    if changed is None:
        wrong = _of_others(record, others, count, drawn)
    else:
        shared = shared_words(record["prompt"], own)
        equal = [text for text in changed if shared_words(record["prompt"], text) == shared]
        wrong = _distinct(sorted(equal, key=drawn), own, key)[:count]
    if not wrong:
        return record
    choices = sorted([own, *wrong], key=drawn)
    return record | {"choices": choices, "correct": choices.index(own)}


def _of_others(record: dict, others: list[dict], count: int, drawn) -> list[str]:
    """``count`` completions of the source, or as many as there are; none where the words would tell."""
    own, prompt = record["completion"], record["prompt"]
    asked = bare(prompt)  # another answer to the same question may be right, too
    same = [
        o for o in others if o["source"] == record["source"] and (not asked or bare(o["prompt"]) != asked)
    ]
    groups = {o["completion"]: o["group"] for o in same}
    groups = {text: groups[text] for text in _distinct(sorted(groups, key=drawn), own, bare)}
    shared = {text: shared_words(prompt, text) for text in groups}
    least = shared_words(prompt, own)
    as_many = [text for text in groups if shared[text] >= least]
    fewer = [text for text in groups if shared[text] < least]
    if not as_many:
        return []
    wanted = min(len(fewer), drawn("fewer")[0] % (count + 1))
    chosen: list[str] = []
    for texts, size in ((as_many, count - wanted), (fewer, count)):
        near = [text for text in texts if groups[text] == record["group"]]
        for pool in (near, [text for text in texts if text not in near]):
            nearest = sorted(pool, key=lambda text: (abs(len(text) - len(own)), text))
            left = max(0, size - len(chosen))
            chosen += sorted(nearest[: max(NEAREST, count)], key=drawn)[:left]
    return chosen


def _distinct(texts, own: str, name) -> list[str]:
    """The texts that are neither ``own`` nor one before them; ``name`` is the same of two that are one."""
    seen, result = {name(own)}, []
    for text in texts:
        if name(text) not in seen:
            seen.add(name(text))
            result.append(text)
    return result
