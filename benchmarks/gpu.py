"""What one card does with the two target models: memory and speed of training steps, of probing and of the
plain forward pass, at the full published shapes with random weights.

    .venv/bin/python benchmarks/gpu.py                 on a card of 80 GB, under 8 minutes
    .venv/bin/python benchmarks/gpu.py --layers 8      of networks cut to 8 layers; nothing is extrapolated
    .venv/bin/python benchmarks/gpu.py --nano          toy sizes, on the CPU where there is no card

Prints one table and writes JSON (``--out``; benchmarks/results/gpu-<card>.json by default). No checkpoint,
hub or results/ is needed. A case that runs out of memory or fails says so in its row, one that would not fit
the time budget is left out and says that, and the others go on.

Utilisation is achieved FLOP/s over the card's dense bfloat16 FLOP/s. FLOPs are ``planning.work``'s: a forward
pass takes 2 a weight that a token meets, and what attention and Gated DeltaNet do between tokens; a step with
frozen weights takes that again backward, and the adapter's own. ``utilisation`` counts what gradient
checkpointing computes again (hardware FLOPs, which planning asks for), ``model_utilisation`` does not (MFU).
"""

import argparse
import json
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(Path(__file__).resolve().parent)]

from onegpu import meter as meters  # noqa: E402
from onegpu import networks, passes, steps  # noqa: E402

COLUMNS = {  # of the table: heading, format
    "model": ("model", "{}"),
    "what": ("what", "{}"),
    "method": ("method", "{}"),
    "tokens_per_s": ("tokens/s", "{:,.0f}"),
    "seconds_per_step": ("s/step", "{:.4f}"),
    "peak_memory_gb": ("peak GB", "{:.2f}"),
    "utilisation": ("util", "{:.3f}"),
    "model_utilisation": ("MFU", "{:.3f}"),
    "note": ("note", "{}"),
}


class Run:
    """All cases, one network at a time; ``rows`` is what was found."""

    def __init__(self, arguments):
        self.args, self.rows, self.started, self.longest = arguments, [], time.monotonic(), 0.0
        self.broken = 0  # cases that failed for other reasons than memory
        self.meter = meters.Meter(arguments.device)
        self.precision = "fp32" if arguments.device == "cpu" else "bf16"
        self.peak, self.peak_source = self.meter.peak_flops(self.precision)

    def model(self, name: str) -> None:
        """The forward pass and probing, then each method."""
        config = networks.settings(name, self.args.nano, self.args.layers)
        self.longest = 0.0  # of another model it tells nothing
        self._case(name, "probe", [("forward", None), ("probe", None)], lambda: self._passes(config))
        for method in steps.METHODS:
            self._case(name, "train", [("train", method)], lambda method=method: self._steps(config, method))

    def _case(self, name, what, wanted, measure) -> None:
        left = self.args.budget_seconds - (time.monotonic() - self.started)
        began = time.monotonic()
        tokens = self.args.length * (self.args.batch if what == "train" else self.args.probe_batch)
        blank = {"tokens_per_s": None, "peak_memory_gb": None, "utilisation": None, "seconds_per_step": None}
        if left < max(self.longest, 1.0):
            result = [blank | {"note": f"left out: {left:.0f} s of the budget left"} for _ in wanted]
        else:
            try:
                result = measure()
            except Exception as error:  # on a borrowed card one broken case must not cost the others
                result = [blank | {"note": self._why(error)} for _ in wanted]
        self.meter.clear()
        self.longest = max(self.longest, time.monotonic() - began)
        for (kind, method), row in zip(wanted, result, strict=True):
            length, batch = self.args.length, tokens // self.args.length
            label = {"model": name, "what": kind, "method": method, "sequence_length": length, "batch": batch}
            self.rows.append(label | row)
            print(f"  {name} {kind} {method or ''}: {row['note'] or 'done'}", file=sys.stderr, flush=True)
        self._save()

    def _save(self) -> None:
        """Write what there is: a borrowed card may be taken back before the last case."""
        self.args.out.parent.mkdir(parents=True, exist_ok=True)
        self.args.out.write_text(json.dumps(self.result(), indent=1) + "\n")

    def _why(self, error) -> str:
        import torch

        text = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, torch.OutOfMemoryError):
            return f"OOM at a peak of {self.meter.peak_gb():.1f} GB: {text.partition('. GPU')[0]}"
        self.broken += 1
        traceback.print_exc()
        return f"failed: {type(error).__name__}: {text}"

    def _make(self, config):
        return networks.create(config, self.args.device, self.precision)

    def _passes(self, config) -> list:
        from implicit_sparsity.planning import shapes

        network, args = self._make(config), self.args
        result = passes.measure(network, args.length, args.probe_batch, args.steps, self.meter)
        tokens = args.length * args.probe_batch
        flops = networks.forward_flops(shapes.of_network(network), tokens, args.length)
        more = result["probe"]["peak_memory_gb"] - result["forward"]["peak_memory_gb"]
        result["forward"]["note"] = "head left out"
        result["probe"]["note"] = f"{result['ratio']:.3f} x the forward pass's time, {more:+.2f} GB"
        result["probe"] |= {"time_ratio": result["ratio"], "more_memory_gb": more}
        return [self._rated(result[kind], tokens, flops, flops) for kind in ("forward", "probe")]

    def _steps(self, config, method) -> list:
        from implicit_sparsity.planning import shapes

        args = self.args
        shape = shapes.of_config(config)
        result = steps.measure(
            lambda: self._make(config),
            method,
            args.length,
            args.batch,
            args.steps,
            self.meter,
            self.precision,
        )
        tokens, options = args.length * args.batch, steps.METHODS[method]
        flops = [
            networks.step_flops(shape, method, options, tokens, args.length, recompute)
            for recompute in (True, False)
        ]
        return [self._rated(result, tokens, *flops)]

    def _rated(self, row, tokens, flops, model_flops) -> dict:
        seconds = row["seconds_per_step"]
        return row | {
            "tokens_per_s": tokens / seconds,
            "utilisation": flops / seconds / self.peak,
            "model_utilisation": model_flops / seconds / self.peak,
        }

    def result(self) -> dict:
        return {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "device": meters.gpu_name(self.args.device),
            "versions": meters.versions(self.args.device),
            "commit": meters.commit(ROOT),
            "cut_layers": self.args.layers,
            "nano": self.args.nano,
            "precision": self.precision,
            "gradient_checkpointing": True,
            "peak_flops": self.peak,
            "peak_flops_source": self.peak_source,
            "seconds": time.monotonic() - self.started,
            "rows": self.rows,
        }


def table(result: dict) -> str:
    """The rows in columns, under a line that says what they are of."""
    kind = "nano networks" if result["nano"] else "full shapes"
    if result["cut_layers"]:
        kind += f" CUT to {result['cut_layers']} layers: figures are of the cut networks"
    head = f"{result['device']}, {result['precision']}, {kind}, gradient checkpointing, {result['date'][:10]}"
    cells = [[heading for heading, _ in COLUMNS.values()]]
    for row in result["rows"]:
        values = ((row.get(name), form) for name, (_, form) in COLUMNS.items())
        cells.append(["-" if value is None else form.format(value) for value, form in values])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "\n".join([head, *lines])


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=networks.SHAPES, default=list(networks.SHAPES))
    parser.add_argument("--layers", type=int, help="cut the networks to so many layers")
    parser.add_argument("--nano", action="store_true", help="toy sizes")
    parser.add_argument("--length", type=int, help="tokens of a document (2048; nano: 64)")
    parser.add_argument("--batch", type=int, default=1, help="documents of a training step")
    parser.add_argument("--probe-batch", type=int, default=4, help="documents of a pass")
    parser.add_argument("--steps", type=int, default=5, help="steps and passes that are timed")
    parser.add_argument("--budget-seconds", type=float, default=480)
    parser.add_argument("--out", type=Path, help="the JSON file")
    return parser.parse_args(argv)


def main(args) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from implicit_sparsity.models import loading

    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.device == "cpu":
        if not args.nano:
            print("benchmarks/gpu.py: no GPU here, nothing measured; --nano runs it on the CPU at toy sizes")
            return  # and `make bench` goes on
        torch.set_num_threads(1)  # toy networks gain nothing from more
    loading.quiet()
    args.length = args.length or (64 if args.nano else 2048)
    gpu = meters.gpu_name(args.device).lower().replace(" ", "-")
    kind = "nano" if args.nano else "gpu"  # planning reads gpu*.json
    cut = f"-{args.layers}-layers" if args.layers else ""
    args.out = args.out or ROOT / "benchmarks" / "results" / f"{kind}-{gpu}{cut}.json"
    run = Run(args)
    for model in args.models:
        run.model(model)
    result = run.result()
    print(table(result))
    print(f"{result['seconds']:.0f} s, written to {args.out}")
    sys.exit(f"benchmarks/gpu.py: {run.broken} cases failed" if run.broken else 0)


if __name__ == "__main__":
    main(arguments())
