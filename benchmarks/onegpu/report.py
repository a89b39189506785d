"""The table of benchmarks/gpu.py, and its lines."""

COLUMNS = {  # of the table: heading, format
    "model": ("model", "{}"),
    "what": ("what", "{}"),
    "method": ("method", "{}"),
    "batch": ("docs", "{}"),
    "sequence_length": ("tokens", "{}"),
    "tokens_per_s": ("tokens/s", "{:,.0f}"),
    "seconds_per_step": ("s/step", "{:.4f}"),
    "peak_memory_gb": ("peak GB", "{:.2f}"),
    "utilisation": ("util", "{:.3f}"),
    "model_utilisation": ("MFU", "{:.3f}"),
    "note": ("note", "{}"),
}


def cells(row: dict) -> list[str]:
    values = ((row.get(name), form) for name, (_, form) in COLUMNS.items())
    return ["-" if value is None else form.format(value) for value, form in values]


def table(result: dict) -> str:
    """The rows in columns, under a line that says what they are of."""
    kind = "nano networks" if result["nano"] else "full shapes"
    if result["cut_layers"]:
        kind += f" CUT to {result['cut_layers']} layers: figures are of the cut networks"
    head = f"{result['device']}, {result['precision']}, {kind}, {result['date'][:10]}"
    bound = "Gated DeltaNet: " + result["kernels"]["chunk_gated_delta_rule"]
    rows = [[heading for heading, _ in COLUMNS.values()], *map(cells, result["rows"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join([f"{head}. {bound}", *lines])
