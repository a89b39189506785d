"""What was measured, as rows and as Markdown."""

import statistics

NAMES = {
    "backbone": "backbone forward",
    "ours": "our pass",
    "nnsight_plain": "nnsight, reduced in plain PyTorch",
    "transformerlens_headless": "TransformerLens run_with_cache, head left out",
    "transformerlens": "TransformerLens run_with_cache",
    "transformerlens_plain": "TransformerLens run_with_cache, reduced in plain PyTorch",
}
FASTER = {"transformerlens": 1.4, "transformerlens_plain": 1.4, "nnsight": 1.0, "nnsight_plain": 1.0}  # than


def summary(passes, rounds: list[dict], differences: dict, failed: dict) -> list[dict]:
    """A row a pass; ``..._to_backbone`` and ``..._to_ours`` are ratios paired by round: median, lowest,
    highest."""

    def spread(values):
        values = list(values)
        return [statistics.median(values), min(values), max(values)]

    rows = []
    for name in passes:
        row = {"pass": name, "note": failed.get(name, ""), "difference": differences.get(name)}
        if name not in failed:
            row["seconds"] = spread(result[name]["seconds"] for result in rounds)
            for clock in ("seconds", "processor_seconds"):
                for other in ("backbone", "ours"):
                    pairs = ((result[name][clock], result[other][clock]) for result in rounds)
                    row[f"{clock}_to_{other}"] = spread(a / b for a, b in pairs)
        rows.append(row)
    return rows


def report(result: dict) -> str:
    """Both tables and the goals, as Markdown."""

    def times(values):
        return "{:.2f} ({:.2f} to {:.2f})".format(*values)

    lines = [
        f"{result['tokens']} tokens, {result['rounds']} rounds, one thread: medians (lowest to highest)",
        "",
        "| pass | seconds | to backbone | processor time to backbone | to ours | processor time to ours | "
        "sums differ by |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        name = NAMES.get(row["pass"], row["pass"])
        if row["note"]:
            lines.append(f"| {name} | not measured: {row['note']} | | | | | |")
            continue
        keys = ("seconds", "seconds_to_backbone", "processor_seconds_to_backbone")
        cells = [times(row[key]) for key in (*keys, "seconds_to_ours", "processor_seconds_to_ours")]
        cells.append("" if row["difference"] is None else f"{row['difference']:.0e}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"| most memory, MB, at | {' | '.join(f'{n} tokens' for n in result['memory_tokens'])} |"]
    lines.append("|---|---|---|---|")
    for row in result["memory"]:
        cells = [f"{peak:.0f}" for peak in row["peak_mb"]] if row["peak_mb"] else [row["note"], "", ""]
        name = NAMES.get(row["pass"], row["pass"]) + (", kept" if row["kept"] else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *goals(result["rows"])])


def goals(rows: list[dict]) -> list[str]:
    """Met or missed by the median of processor time, which other users of the machine disturb least."""
    measured = {row["pass"]: row for row in rows if not row["note"]}
    ratio = measured["ours"]["processor_seconds_to_backbone"][0]
    lines = [f"goal: at most 1.10 times the backbone forward: {_met(ratio <= 1.1)}, {ratio:.2f}"]
    for name, goal in FASTER.items():
        text, outcome = f"goal: at least {goal:.1f} times as fast as {NAMES.get(name, name)}", "not measured"
        if name in measured:
            ratio = measured[name]["processor_seconds_to_ours"][0]
            outcome = f"{_met(ratio >= goal)}, {ratio:.2f}"
        lines.append(f"{text}: {outcome}")
    return lines


def _met(met: bool) -> str:
    return "met" if met else "missed"
