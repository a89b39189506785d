"""Numbers of published work that may stand beside ours: only where the setting is comparable.

Each entry has its source, setting and values, and a condition on our tables: it returns the numbers of ours
that answer to them, or says why there are none. What is not comparable is named, without its numbers.
"""

from typing import NamedTuple

import numpy as np

from implicit_sparsity.metrics import pairs

TRACE_TASKS = {
    "c_stance",
    "fomc",
    "meetingbank",
    "py150",
    "scienceqa",
    "numglue_cm",
    "numglue_ds",
    "20minuten",
}


class Published(NamedTuple):
    """values: label -> number; ours: function of (tables, orders) -> ([(model, {label: number})], why)."""

    claims: tuple
    source: str
    setting: str
    values: dict
    ours: object


def modularity(tables, orders):
    table = tables.get("activation_overlap")
    none = "no sets of the top 1 % of the neurons, of the domains code and math, in a pretrained model"
    if table is None or table.empty:
        return [], none
    table = pairs.of_domains(table)
    table = table[(table["measure"] == "iou") & np.isclose(table["k"], 0.01) & (table["control"] == "")]
    table = table[(table["checkpoint"] == "base") & ~table["revision"].str.startswith("scratch-")]
    result = []
    for model, part in table.groupby("model", sort=False):
        names = part["domain_a"] + "-" + part["domain_b"]
        labels = {"code-code": "ceiling", "math-math": "ceiling", "code-math": "signal"}
        chosen = {label: part[(names == label) & (part["quantity"] == q)] for label, q in labels.items()}
        chosen["chance"] = part[part["quantity"] == "floor"]
        if all(len(rows) for rows in chosen.values()):
            result.append((model, {label: float(rows["value"].mean()) for label, rows in chosen.items()}))
    why = "the same quantity at the same chance; another model, other documents, mean over all layers here"
    return (result, why) if result else ([], none)


def olmoe(tables, orders):
    table, layers = tables.get("routing_overlap"), (0, 7, 15)
    none = "no mixture here routes to 8 of 64 experts, so chance is another"
    if table is None or table.empty:
        return [], none
    table = table[(table["experts"] == 64) & (table["active"] == 8) & (table["checkpoint"] == "base")]
    table = table[(table["measure"] == "iou") & (table["quantity"] == "signal") & (table["top"] == 8)]
    result = []
    for model, part in table.groupby("model", sort=False):
        means = part.groupby("layer")["value"].mean()
        if set(layers) <= set(means.index) and len(means) == 16:
            chance = {"chance": float(np.round(0.0705, 4))}
            result.append((model, {f"layer {i}": float(means[i]) for i in layers} | chance))
    return (result, "8 of 64 experts in 16 layers, as there; other texts") if result else ([], none)


def trace(tables, orders):
    table = tables.get("metrics")
    names = [name for name, domains in orders.items() if set(domains) == TRACE_TASKS]
    if table is None or not names:
        return [], "its eight tasks, scored in percent, are not the domains of any order here"
    table = table[table["order"].isin(names) & (table["score"] == "acc") & (table["metric"] == "bwt")]
    labels = {"full": "SeqFT", "lora": "SeqLoRA", "replay": "10 % replay"}
    result = []
    for model, part in table[table["method"].isin(labels)].groupby("model", sort=False):
        means = 100 * part.groupby("method")["value"].mean()
        result.append((model, {f"BWT {labels[m]}": float(v) for m, v in means.items()}))
    return (
        (result, "the same eight tasks; another model")
        if result
        else ([], "bwt of the score acc is not there")
    )


def never(why):
    return lambda tables, orders: ([], why)


ENTRIES = (
    Published(
        ("h1b",),
        "LLM_Modularity",
        "Qwen2.5-32B, top 1 %, Jaccard",
        {"code-code": 0.178, "math-math": 0.131, "code-math": 0.086, "chance": 0.005},
        modularity,
    ),
    Published(
        ("h1e",),
        "OLMoE-1B-7B (2409.02060)",
        "top-8 expert IoU of 64, layers 0, 7 and 15",
        {"layer 0": 0.107, "layer 7": 0.065, "layer 15": 0.121, "chance": 0.0705},
        olmoe,
    ),
    Published(
        ("h2a", "h2b"),
        "TRACE",
        "Llama-2-7B-chat, 8 tasks, BWT in percent",
        {"BWT SeqFT": -8.3, "BWT SeqLoRA": -45.7, "BWT 10 % replay": 2.6},
        trace,
    ),
    Published(
        ("h2a", "h2b"),
        "Sparse memory fine-tuning (2510.15103)",
        "drop of F1 on NaturalQuestions",
        {"full": 89.0, "LoRA": 71.0, "sparse memory": 11.0},
        never("no score here is F1 on NaturalQuestions, and its drop is relative to another start"),
    ),
    Published(
        ("h2a", "h2b"),
        "PEFT's method bench",
        "Llama-3.2-3B, forgetting in nats",
        {"full, small learning rate": 0.030, "LoRA r32": 0.050, "OSF": 0.017, "SHiRA, random mask": 0.052},
        never("one task is trained there; here forgetting is over orders of several, at equal learning"),
    ),
)


def beside(claim: str, tables: dict, orders: dict) -> list[dict]:
    """Of a claim: entries as JSON. comparable: whether ``published`` and ``ours`` are there; why."""
    rows = []
    for entry in ENTRIES:
        if claim not in entry.claims:
            continue
        ours, why = entry.ours(tables, orders)
        row = {"source": entry.source, "setting": entry.setting, "comparable": bool(ours), "why": why}
        if ours:
            row["published"] = entry.values
            row["ours"] = [{"model": model, **numbers} for model, numbers in ours]
        rows.append(row)
    return rows
