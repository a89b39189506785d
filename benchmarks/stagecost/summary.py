"""Rounds of measurements as rows, and rows as text."""

import statistics

from stagecost import cases

HEAD = "{:20s} {:>22s} {:>8s} {:>7s} {:>9s} {:>9s} {:>8s} {:>8s} {:>8s} {:>9s}"
COLUMNS = (
    "method",
    "time a token",
    "cpu time",
    "memory",
    "peak MB",
    "trained",
    "begin s",
    "audit s",
    "end s",
    "end MB",
)


def summary(name, results, kind, nano=False) -> dict:
    """Medians over rounds, and what there is to say of them."""
    middle = lambda values: statistics.median(list(values))  # noqa: E731
    phase = lambda key, what: middle(r["phases"].get(key, {}).get(what, 0.0) for r in results)  # noqa: E731
    times = [result["time"] for result in results]
    row = {
        "method": name,
        "network": kind,
        "time": middle(times),
        "time_range": [min(times), max(times)],
        "cpu_time": middle(result["cpu_time"] for result in results),
        "memory": middle(result["memory"] for result in results),
        "peak_mb": middle(result["peak_mb"] for result in results),
        "parameters": results[0]["parameters"],
        "peer_parameters": results[0]["peer_parameters"],
        "begin_seconds": phase("begin", "seconds"),
        "audit_seconds": phase("audit", "seconds"),
        "end_seconds": phase("end", "seconds"),
        "end_peak_mb": phase("end", "peak_mb"),
        "rounds": len(results),
    }
    return row | {"notes": [] if nano else notes(row)}


def notes(row: dict) -> list[str]:
    """Reasons where a ratio is large, and whether a goal was met."""
    name, lines = row["method"], []
    if row["network"] == "mixture":
        lines.append("on a mixture with random weights: a dense model has no experts to choose among")
    if max(row["time"], row["memory"]) > cases.LIMIT:
        lines.append(cases.REASONS.get(name, "no reason known: look into it"))
    for what, goal in zip(("time", "memory"), cases.GOALS.get(name, ()), strict=False):
        if goal is not None:
            lines.append(f"goal {what} <= {goal:g}: {'met' if row[what] <= goal else 'missed'}")
    return lines


def table(result: dict) -> str:
    """The rows in columns, under what they were measured on."""
    noise = "" if result["quiet"] else f" NOT QUIET (load {result['load']:.1f} before the first run)"
    size = "nano networks: figures mean nothing" if result["nano"] else "SmolLM2"
    lines = [
        f"{result['date'][:10]}, {size}, {result['steps']} steps, {result['rounds']} rounds, "
        f"{result['threads']} threads, torch {result['versions']['torch']}, {result['commit']}{noise}",
        "ratios to PEFT LoRA under a plain Trainer, median (range); one process each",
        HEAD.format(*COLUMNS),
    ]
    for row in result["rows"]:
        time = f"{row['time']:.2f} ({row['time_range'][0]:.2f} to {row['time_range'][1]:.2f})"
        once = [f"{row[key]:.1f}" for key in ("begin_seconds", "audit_seconds", "end_seconds")]
        whole = [f"{row['peak_mb']:.0f}", f"{row['parameters']:,}", *once, f"{row['end_peak_mb']:.0f}"]
        ratios = [time, f"{row['cpu_time']:.2f}", f"{row['memory']:.2f}"]
        lines.append(HEAD.format(row["method"], *ratios, *whole))
        lines += [f"    {note}" for note in row["notes"]]
    return "\n".join(lines)
