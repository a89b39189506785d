"""What was measured: utilisation of a GPU by benchmarks/gpu.py, seconds and memory of jobs that have run."""

import csv
import json
import re
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import read_json

from .gpus import is_named

WHAT = {"train": "train", "probe": "probe"}


def utilisation(folder, models, gpu: str) -> tuple[dict, list]:
    """({(model, "train" | "probe"): share of the GPU's FLOP/s}, names of the files it is from).

    Only what was measured on this kind of GPU: another's share is none of its own. A row counts for a model
    whose name holds the row's size (``27b``). Of several methods the mean; rows of a network cut in depth
    count, as a share of FLOP/s does not depend on it; rows without a figure do not.
    """
    result: dict = {}
    files = []
    for path in sorted(Path(folder).glob("gpu*.json")):
        content = read_json(path)
        if not is_named(gpu, content.get("device", "")):
            continue
        for row in content.get("rows", []):
            size = re.search(r"\d+b", str(row.get("model", "")).lower())
            share = row.get("utilisation")
            if row.get("what") not in WHAT or not size or not share:
                continue
            for model in models:
                if re.search(rf"(?<!\d){size[0]}", model):
                    result.setdefault((model, WHAT[row["what"]]), []).append(float(share))
                    files.append(path.name)
    return {key: sum(shares) / len(shares) for key, shares in result.items()}, sorted(set(files))


def jobs(folder) -> dict:
    """{(rule or measurement, wildcards joined by dots): (seconds, MB)} of jobs that ran, from their benchmark
    files."""
    result = {}
    for path in sorted(Path(folder).glob("*/*.tsv")):
        try:
            with path.open(newline="") as file:
                row = next(csv.DictReader(file, delimiter="\t"))
            memory = row["max_rss"]
            result[path.parent.name, path.stem] = (
                float(row["s"]),
                float(memory) if memory not in ("-", "NA") else 0.0,
            )
        except (StopIteration, KeyError, ValueError) as error:
            raise InputError("is no benchmark file of Snakemake's", path=path) from error
    return result


def name_of(job) -> tuple:
    """The key of a job in ``jobs``."""
    wildcards = dict(job.wildcards)
    if "seed" in wildcards:  # {model}.{method}.{order}.seed{seed}.stage{stage}
        wildcards |= {"seed": f"seed{wildcards['seed']}", "stage": f"stage{wildcards['stage']}"}
    order = (
        "model",
        "method",
        "order",
        "seed",
        "stage",
        "checkpoint",
        "control",
        "domain",
        "source",
        "probe",
        "figure",
    )
    return job.kind, ".".join(wildcards[name] for name in order if name in wildcards) or "all"


def lengths(folder, models) -> dict:
    """{model: mean tokens of a document} of models whose domains are tokenized."""
    result = {}
    for model in models:
        tokens = documents = 0
        for path in sorted(Path(folder).glob(f"{model}/*/index.json")):
            for split in json.loads(path.read_text())["splits"].values():
                tokens, documents = tokens + split["tokens"], documents + split["documents"]
        if documents:
            result[model] = tokens / documents
    return result


def stages(folder) -> dict:
    """{(rule, name): {"seconds", "peak_memory_mb"}} that trained stages say of themselves."""
    result = {}
    for path in sorted(Path(folder).glob("*/*/stage.json")):
        result["train_adapter", f"{path.parent.parent.name}.{path.parent.name}"] = read_json(path)["measured"]
    return result
