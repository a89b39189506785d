"""Wrong choices for eval documents that come without any: other completions of the same source.

Those of the same group come first (another function of the module, the same template with other numbers),
since a choice from elsewhere is too easy to tell. They are close in length to the right one, so that length
does not give the answer away. Only documents with a short completion get choices. ``correct`` is written for
every eval document that has choices.
"""

from .sampling import order_key

NEAREST = 8  # distractors are drawn among this many completions of the nearest length


def with_choices(records: list[dict], count: int, max_chars: int, seed: int) -> list[dict]:
    """The records, ``choices`` and ``correct`` added where they can be; ``answer`` stays as it was."""
    given = [record for record in records if "choices" in record]
    bare = [record for record in records if "choices" not in record]
    short = [record for record in bare if len(record["completion"]) <= max_chars]
    made = {record["id"]: record | {"correct": record["choices"].index(record["answer"])} for record in given}
    if count:
        for record in short:
            made[record["id"]] = _distracted(record, short, count, seed)
    return [made.get(record["id"], record) for record in records]


def _distracted(record: dict, others: list[dict], count: int, seed: int) -> dict:
    own = record["completion"]
    same = [other for other in others if other["source"] == record["source"]]
    near = {other["completion"] for other in same if other["group"] == record["group"]} - {own}
    far = {other["completion"] for other in same} - {own} - near

    def drawn(text: str) -> bytes:
        return order_key(seed, f"{record['id']}:{text}")

    wrong = []
    for texts in (near, far):
        nearest = sorted(texts, key=lambda text: (abs(len(text) - len(own)), text))[: max(NEAREST, count)]
        wrong += sorted(nearest, key=drawn)[: count - len(wrong)]
    if not wrong:
        return record
    choices = sorted([own, *wrong], key=drawn)
    return record | {"choices": choices, "correct": choices.index(own)}
