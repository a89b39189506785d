"""A plan as text: Markdown tables that read as well in a terminal."""

GB = 1e9


def table(head, rows, right=()) -> str:
    """A Markdown table in columns of equal width; ``right``: columns of numbers."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row):
        put = (
            c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join(put) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if i in right else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def number(value: float) -> str:
    """12.3 G, 4.5 M, 678."""
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def hours(value: float) -> str:
    return f"{value:.1f}" if value >= 0.1 or not value else f"{value:.3f}"


def of_model(plan: dict, hardware: dict, families: dict) -> str:
    """One model's plan; ``families``: variant -> the method that it is a setting of."""
    parameters = plan["parameters"]
    parts = ", ".join(f"{part.replace('_', ' ')} {number(n)}" for part, n in parameters["parts"].items())
    counts = f"{number(parameters['total'])} parameters, {number(parameters['active'])} of them active"
    lines = [f"## {plan['model']}", "", f"{counts} for a token: {parts}."]
    if plan["trainable"]:
        lines += ["Trained in a stage: " + trainable(plan["trainable"], families) + "."]
    lines += ["", memory(plan["memory"], hardware, families), ""]
    if hardware:
        lines += [work(plan["rules"], hardware), "", assumed(plan), ""]
    lines += ["On disk: " + ", ".join(f"{r} {size / GB:.2f} GB" for r, size in plan["storage"].items()) + "."]
    if plan["budget"]:
        lines += ["", budget(plan["budget"])]
    return "\n".join(lines)


def budget(ranges: list) -> str:
    """The user's own ranges beside the estimate."""
    rows = [
        (
            row["what"].replace("_", " "),
            f"{row['low']:g} to {row['high']:g}",
            f"{row['estimate']:.1f}",
            row["inside"],
        )
        for row in ranges
    ]
    return table(("the user's budget", "range", "estimate", ""), rows, right=(2,))


def by_family(equal: list, families: dict) -> list[str]:
    """What each group of variants is called.

    A family by its name where all of it is in one group, else by its variants; a group of everything, of more
    than three, as such. "" is no variant, and has no name.
    """
    homes: dict = {}
    for place, variants in enumerate(equal):
        for variant in filter(None, variants):
            homes.setdefault(families.get(variant, variant), set()).add(place)
    labels = []
    for variants in equal:
        owners = {variant: families.get(variant, variant) for variant in filter(None, variants)}
        names = dict.fromkeys(owner if len(homes[owner]) == 1 else name for name, owner in owners.items())
        everything = set(names) == set(homes) and len(names) > 3
        labels.append("of all methods" if everything else ", ".join(names))
    return labels


def trainable(numbers: dict, families: dict) -> str:
    """Parameters trained in a stage, of each method."""
    groups: dict = {}
    for variant, count in numbers.items():
        groups.setdefault((families.get(variant, variant), count), []).append(variant)
    names = by_family(list(groups.values()), families)
    return ", ".join(f"{name} {number(count)}" for name, (_, count) in zip(names, groups, strict=True))


def memory(cases: dict, hardware: dict, families: dict) -> str:
    """Memory at the fullest moment, GB, a row a rule and method; methods that take the same share one."""
    rules: dict = {}
    for case, sizes in cases.items():
        rule, _, method = case.partition(" ")
        rules.setdefault(rule, {}).setdefault(tuple(sizes.items()), []).append(method)
    cases = {
        f"{rule} {name}".strip(): dict(sizes)
        for rule, same in rules.items()
        for name, sizes in zip(by_family(list(same.values()), families), same, strict=True)
    }
    parts = list(dict.fromkeys(part for case in cases.values() for part in case if part != "total"))
    rows = [
        (
            case,
            *(f"{sizes[part] / GB:.2f}" if part in sizes else "" for part in parts),
            f"{sizes['total'] / GB:.2f}",
        )
        for case, sizes in cases.items()
    ]
    where = f" ({hardware['card']}: {hardware['gb']:.1f})" if hardware else ""
    head = (f"memory, GB{where}", *parts, "total")
    return table(head, rows, right=range(1, len(head)))


def work(rules: dict, hardware: dict) -> str:
    """Jobs, tokens, FLOPs, hours and cost of each rule that asks for a GPU."""
    price, currency = hardware.get("price_per_hour", 0), hardware.get("currency", "")
    rows = [
        (
            rule,
            r["jobs"],
            number(r["tokens"]),
            number(r["flops"]),
            hours(r["hours"]),
            f"{r['hours'] * price:.0f}",
        )
        for rule, r in rules.items()
    ]
    total = sum(r["hours"] for r in rules.values())
    rows.append(
        ("in all", sum(r["jobs"] for r in rules.values()), "", "", hours(total), f"{total * price:.0f}")
    )
    return table(
        ("rule", "jobs", "tokens", "FLOPs", "GPU hours", currency or "cost"), rows, right=range(1, 6)
    )


def assumed(plan: dict) -> str:
    """What the hours rest on, in a sentence."""
    basis = plan["assumed"]
    source = "counted" if basis["tokens_counted"] else "assumed"
    shares = ", ".join(
        f"{what} {share:.2f} ({'measured' if basis['utilisation_measured'][what] else 'assumed'})"
        for what, share in basis["utilisation"].items()
    )
    kernels = "fused" if basis["fast_kernels"] else "plain torch"
    tokens = f"{basis['tokens_per_document']:.0f} tokens a document ({source})"
    line = f"Hours at {tokens}, utilisation {shares}; {kernels} kernels."
    files = plan.get("measured")
    return line + (f" Measured in {', '.join(files)}." if files else "")
