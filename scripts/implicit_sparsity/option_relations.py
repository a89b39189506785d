"""What options of one class have to do with each other: literals of the class, read by the workflow, too."""

import math

MULTIPLES = "MULTIPLES"  # option -> option of which it, or each of its values, is a multiple
AMONG = "AMONG"  # option -> option among whose values its own are
AT_MOST = "AT_MOST"  # option -> option that it is no more than
BELOW = "BELOW"  # option -> options whose product it is less than
ONLY = "ONLY"  # option -> {another: {its value: what the option may be then}}
RELATIONS = (MULTIPLES, AMONG, AT_MOST, BELOW, ONLY)


def conflicts(values: dict, rules: dict):
    """Yield (option, what it may be in words, the options that say so) of each rule that is broken.

    values: every option; rules: of RELATIONS those that the class has.
    """
    for some, of in rules.get(MULTIPLES, {}).items():
        if any(value % values[of] for value in listed(values[some])):
            yield some, f"a multiple of {of} ({values[of]})", (of,)
    for some, of in rules.get(AMONG, {}).items():
        if not set(listed(values[some])) <= set(listed(values[of])):
            yield some, f"numbers among {of} ({listed(values[of])})", (of,)
    for less, more in rules.get(AT_MOST, {}).items():
        if values[less] > values[more]:
            yield less, f"at most {more} ({values[more]})", (more,)
    for less, factors in rules.get(BELOW, {}).items():
        limit = math.prod(values[name] for name in factors)
        if values[less] >= limit:
            yield less, f"fewer than {' x '.join(factors)} ({limit})", factors
    for some, others in rules.get(ONLY, {}).items():
        for other, allowed in others.items():
            may = allowed.get(values[other]) if isinstance(values[other], str | bool) else None
            if may is not None and values[some] not in may:
                yield some, f"{' | '.join(map(str, may))} where {other} is {values[other]}", (other,)


def listed(value) -> list:
    """An option's values, one or many."""
    return list(value) if isinstance(value, list | tuple) else [value]
