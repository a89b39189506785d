"""How time and storage grow with tokens, layers, width, domains and methods: measured beside the formula.

    make bench        (or: .venv/bin/python benchmarks/scaling.py [--json FILE])

Nano dense networks of the Qwen3.5 family train, are probed and saved with the project's own code, one thread,
all in this process; each factor is taken once, twice and four times. Seconds are the processor's own (a busy
machine does not count), the smaller of two runs. The exponent is the slope of log2 over log2; the formula's
is that of planning's FLOPs and bytes for the very same runs. On small networks time grows more slowly than
FLOPs: launching operations costs as much as they do.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]
os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
SIZES = (1, 2, 4)
BASE = {"tokens": 1, "layers": 1, "width": 1, "domains": 1, "methods": 1}
HIDDEN, LENGTH, STEPS, BATCH = 128, 64, 4, 8
METHODS = ("lora", "lora_2", "lora_3", "lora_4")


def network(layers: int, width: int) -> dict:
    """A configuration; heads grow with the width, as they do in the published sizes."""
    import networks

    return networks.DENSE | {
        "hidden_size": HIDDEN * width,
        "intermediate_size": 3 * HIDDEN * width,
        "num_hidden_layers": 4 * layers,
        "num_attention_heads": 4 * width,
        "num_key_value_heads": 2 * width,
        "head_dim": 32,
        "linear_num_key_heads": 2 * width,
        "linear_num_value_heads": 4 * width,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
    }


class Documents:
    """Random ids, as many as are asked for: what is in them takes no time."""

    def __init__(self, count: int):
        import numpy as np

        random = np.random.default_rng(0)
        self.all = [random.integers(0, 300, LENGTH).astype("uint32") for _ in range(count)]

    def __len__(self):
        return len(self.all)

    def __getitem__(self, i):
        from types import SimpleNamespace

        import numpy as np

        ids = self.all[i]
        return SimpleNamespace(ids=ids, prompt=np.arange(len(ids)) < 8, meta={})


def train(config: dict, documents: Documents, folder: Path) -> float:
    """Seconds of one stage's steps; the adapter is saved to ``folder``."""
    from implicit_sparsity.models import adapters, batching, loading
    from implicit_sparsity.options import load
    from implicit_sparsity.training import fit

    settings = {"steps": len(documents) // BATCH, "batch_size": BATCH, "learning_rate": 1e-3, "warmup": 1}
    settings |= {"weight_decay": 0.0, "clip": 1.0, "checkpoint_every": 10**6, "device": "cpu"}
    model = adapters.add_lora(loading.create(config, 0).requires_grad_(False), 8, 16)
    rows = [documents[i] for i in range(len(documents))]
    batches = [batching.collate(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
    started = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        fit.optimise(model, load("methods", "lora", rank=8), batches, settings, scratch, 0)
    took = time.process_time() - started
    model.save_pretrained(str(folder))
    return took


def measurement(documents: int):
    """The activation pass over so many documents."""
    from implicit_sparsity.options import load

    tokens = {"tokens": documents * (LENGTH - 1), "batch_tokens": BATCH * LENGTH, "groups": 4}
    return load("measurements", "activations", **tokens)


def probe(config: dict, documents: Documents, folder: Path) -> float:
    """Seconds of a domain's activation pass; its store is written to ``folder``."""
    from implicit_sparsity.models import ffn, loading
    from implicit_sparsity.passes import activation_pass
    from implicit_sparsity.storage.store import write_store

    model = loading.create(config, 0).eval()
    options = measurement(len(documents)).settings()
    blocks = ffn.feed_forwards(model)
    started = time.process_time()
    half = activation_pass.measure_half(model, blocks, documents, (), options)
    took = time.process_time() - started
    write_store(folder, *activation_pass.as_store([half, half], blocks, options), {})
    return took


def measure(factors: dict) -> dict:
    """{train, probe: seconds; adapters, stores: bytes} of a study of this size."""
    config, documents = (
        network(factors["layers"], factors["width"]),
        Documents(STEPS * BATCH * factors["tokens"]),
    )
    result = dict.fromkeys(("train", "probe", "adapters", "stores"), 0.0)
    with tempfile.TemporaryDirectory() as place:
        for domain in range(factors["domains"]):
            folder = Path(place) / f"{domain}.zarr"
            result["probe"] += probe(config, documents, folder)
            result["stores"] += size_of(folder)
            for method in METHODS[: factors["methods"]]:
                folder = Path(place) / f"{method}.{domain}"
                result["train"] += train(config, documents, folder)
                result["adapters"] += size_of(folder, "*.safetensors")
    return result


def size_of(folder: Path, pattern: str = "*") -> int:
    return sum(file.stat().st_size for file in folder.rglob(pattern) if file.is_file())


def predicted(factors: dict) -> dict:
    """FLOPs and bytes of the same study by the formulas of planning."""
    from implicit_sparsity.planning import memory, shapes, trained, work

    shape = shapes.of_config(network(factors["layers"], factors["width"]))
    method = trained.of_method(shape, "lora", {"rank": 8})
    tokens, stages = STEPS * BATCH * LENGTH * factors["tokens"], factors["domains"] * factors["methods"]
    setting = memory.Setting(max_length=LENGTH, batch_size=BATCH)
    steps = STEPS * factors["tokens"]
    return {
        "train": stages * work.train_flops(shape, method, setting, tokens, steps, LENGTH),
        "probe": factors["domains"] * work.probe_flops(shape, tokens, LENGTH),
        "adapters": stages * method.adapter_bytes(1),
        "stores": factors["domains"] * measurement(steps * BATCH).stored(shape),
    }


def slope(values: list) -> float:
    """Least-squares slope of log2(value) over log2(size)."""
    xs, ys = [math.log2(size) for size in SIZES], [math.log2(value) for value in values]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)


def main(arguments) -> None:
    import torch

    torch.set_num_threads(1)
    started = time.perf_counter()
    measure(BASE)  # the first run of everything is slower
    rows = []
    for factor in BASE:
        runs = [[measure(BASE | {factor: size}) for _ in range(arguments.rounds)] for size in SIZES]
        formula = [predicted(BASE | {factor: size}) for size in SIZES]
        for what in ("train", "probe", "adapters", "stores"):
            best = [min(run[what] for run in again) for again in runs]
            result, expected = slope(best), slope([size[what] for size in formula])
            rows.append(
                {"factor": factor, "what": what, "values": best, "measured": result, "formula": expected}
            )
            unit = "s" if what in ("train", "probe") else "MB"
            shown = ", ".join(f"{value if unit == 's' else value / 1e6:.2f}" for value in best)
            print(f"{factor:8s} {what:9s} x1, x2, x4: {shown:24s} {unit:3s} ", end="")
            print(f"exponent {result:5.2f}, formula {expected:5.2f}", flush=True)
    print(f"{time.perf_counter() - started:.0f} s, torch {torch.__version__}, one thread")
    if arguments.json:
        Path(arguments.json).write_text(
            json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="runs of each size, of which the fastest counts"
    )
    parser.add_argument("--json", help="file for the figures")
    main(parser.parse_args())
