"""Why a split cannot be filled, and what a user can change: documents, groups, or what left them out."""

from collections import Counter

from .records import IN_OTHER_DOMAINS, Dropped


def advice(records: list[dict], sizes: dict[str, int], lost: list[Dropped], per_group: int | bool) -> str:
    """The last part of the message. ``records``: those that could be dealt; ``lost``: what was left out
    before; ``sizes``: documents wanted of each split."""
    groups = Counter((record["source"], record["group"]) for record in records)
    splits, wanted = sum(map(bool, sizes.values())), sum(sizes.values())
    over = sum(item.reason == "over_group_cap" for item in lost)
    finer = "name a finer column as fields.group of the source"
    if len(groups) < min(splits, len(records)):
        number = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
        return (
            f"all {len(records)} are of {number}, and as a group goes to one split whole, {splits} splits "
            f"need {splits} groups or more: {finer}, or none"
        )
    if over and len(records) < wanted <= len(records) + over:
        return f"splits.per_group {per_group} left out {over}: raise it, or lower the sizes of the splits"
    shared = sum(item.reason.startswith(IN_OTHER_DOMAINS) for item in lost)
    if len(records) < wanted <= len(records) + shared:
        return f"{shared} are of domains before it, which keep them: raise the limits, or leave them to one"
    largest = max(groups.values(), default=0)
    if len(records) >= wanted and largest > 1:
        return (
            f"{len(records)} in all would do, but a group goes to one split whole, and of {len(groups)} the "
            f"largest has {largest}: {finer}, cap it by splits.per_group, or raise the limits of the sources"
        )
    return "raise the limits of the sources or lower the sizes of the splits"


def left_out(lost: list[Dropped]) -> str:
    """What was left out before, as a remark: "; left out: 3 near duplicate", or nothing."""
    counts = sorted(Counter(item.reason for item in lost).items())
    return "; left out: " + ", ".join(f"{n} {reason}" for reason, n in counts) if counts else ""
