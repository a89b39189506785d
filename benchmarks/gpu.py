"""What one GPU does with the two target models: memory and speed of training steps, of probing, of the plain
forward pass and of decoding, at the full published shapes with random weights and the settings of
slurm/thesis.yaml.

    .venv/bin/python benchmarks/gpu.py                 as many cases as 8 minutes hold, most telling first
    .venv/bin/python benchmarks/gpu.py --layers 8      of networks cut to 8 layers; nothing is extrapolated
    .venv/bin/python benchmarks/gpu.py --nano          toy sizes, on the CPU where there is no GPU

Prints each case as it ends, one table, and writes JSON (``--out``; benchmarks/results/gpu-<GPU>.json by
default). No checkpoint, hub or results/ is needed. A case that runs out of memory or fails says so in its
row, one that would not fit the time budget is left out and says that, and the others go on. What fused
kernels compile and tune at first use (minutes) is in the budget, not in the figures: a second run has it.

Utilisation is achieved FLOP/s over the GPU's dense bfloat16 FLOP/s. FLOPs are ``planning.work``'s: a forward
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

from onegpu import meter, networks, passes, steps  # noqa: E402
from onegpu.report import cells, table  # noqa: E402

METHODS = ("lora", "activation_mask", "orthogonal")
BLANK = ("tokens_per_s", "seconds_per_step", "peak_memory_gb", "utilisation", "model_utilisation")


class Run:
    """All cases, one network at a time; ``rows`` is what was found."""

    def __init__(self, arguments):
        self.args, self.rows, self.started, self.longest = arguments, [], time.monotonic(), 0.0
        self.broken = 0  # cases that failed for other reasons than memory
        self.meter = meter.Meter(arguments.device)
        self.precision = "fp32" if arguments.device == "cpu" else "bf16"
        self.peak, self.peak_source = self.meter.peak_flops(self.precision)
        self.study = study()

    def model(self, name: str) -> None:
        """Passes and each method at the first length, what else there is at that length, then the others."""
        config = networks.settings(name, self.args.nano, self.args.layers)
        self.longest = 0.0  # of another model it tells nothing
        for length in self.args.lengths:
            self._passes_of(name, config, length)
            for method in METHODS:
                self._train(name, config, method, length)
            if length != self.args.lengths[0]:
                continue
            if "num_experts" in config:  # its neurons are spread over all experts
                self._train(name, config, "activation_mask", length, choose="random")
            self._train(name, config, "lora", length, checkpointing=False)
            label = {"what": "decode", "method": None, "sequence_length": length, "batch": 16}
            self._case([{"model": name} | label], lambda length=length: self._decode(config, length))

    def _passes_of(self, name, config, length) -> None:
        batch = max(1, self.args.batch_tokens // length)
        label = {"model": name, "method": None, "sequence_length": length, "batch": batch}
        labels = [label | {"what": what} for what in ("forward", "probe")]
        self._case(labels, lambda: self._passes(config, length, batch))

    def _train(self, name, config, method, length, checkpointing=True, **more) -> None:
        options = self.study["methods"][method] | more
        if self.args.nano and "fixed_rank" in options:  # of a width of 32: some has to stay free
            options = options | {"fixed_rank": 8}
        label = {"model": name, "what": "train", "method": method, "sequence_length": length}
        label |= {"batch": self.args.batch, "options": options, "gradient_checkpointing": checkpointing}
        self._case([label], lambda: self._steps(config, label))

    def _case(self, labels, measure) -> None:
        left = self.args.budget_seconds - (time.monotonic() - self.started)
        began = time.monotonic()
        blank = dict.fromkeys(BLANK)
        if left < max(self.longest, 1.0):
            rows = [blank | {"note": f"left out: {left:.0f} s of the budget left"} for _ in labels]
        else:
            try:
                rows = measure()
            except Exception as error:  # on a borrowed GPU one broken case must not cost the others
                rows = [blank | {"note": self._why(error)} for _ in labels]
        self.meter.clear()
        took = time.monotonic() - began
        self.longest = max(self.longest, took)
        for label, row in zip(labels, rows, strict=True):
            self.rows.append(label | row | {"case_seconds": took})
            print("  ".join(cells(self.rows[-1])), f"({took:.0f} s)", file=sys.stderr, flush=True)
        self._save()

    def _save(self) -> None:
        """Write what there is: a borrowed GPU may be taken back before the last case."""
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

    def _passes(self, config, length, batch) -> list:
        from implicit_sparsity.planning import shapes

        network = self._make(config)
        measured = passes.measure(network, length, batch, self.args.steps, self.meter, self.study["probe"])
        flops = networks.forward_flops(shapes.of_network(network), length * batch, length)
        more = measured["probe"]["peak_memory_gb"] - measured["forward"]["peak_memory_gb"]
        measured["forward"]["note"] = "head left out"
        measured["probe"]["note"] = f"{measured['ratio']:.3f} x the forward pass's time, {more:+.2f} GB"
        measured["probe"] |= {"time_ratio": measured["ratio"], "more_memory_gb": more}
        return [self._rated(measured[kind], length * batch, flops, flops) for kind in ("forward", "probe")]

    def _decode(self, config, length) -> list:
        network, new = self._make(config), 8 if self.args.nano else 64
        measured = passes.decode(network, length, 16, new, self.meter)
        weights = (
            sum(p.numel() * p.element_size() for p in network.parameters()) / measured["seconds_per_step"]
        )
        measured |= {"tokens_per_s": 16 / measured["seconds_per_step"], "weight_bytes_per_s": weights}
        return [dict.fromkeys(BLANK) | measured | {"note": f"{weights / 1e9:,.0f} GB of weights a second"}]

    def _steps(self, config, label) -> list:
        from implicit_sparsity.planning import shapes

        method, options, length = label["method"], label["options"], label["sequence_length"]
        batch, checkpointing = label["batch"], label["gradient_checkpointing"]
        sizes, how = (length, batch, self.args.steps), {"precision": self.precision}
        how |= {"checkpointing": checkpointing}
        measured = steps.measure(lambda: self._make(config), method, options, *sizes, self.meter, **how)
        measured["note"] += "" if checkpointing else ", nothing computed again"
        measured["note"] += ", random neurons" if options.get("choose") == "random" else ""
        shape, tokens = shapes.of_config(config), length * batch
        flops = [
            networks.step_flops(shape, method, options, tokens, length, again)
            for again in (checkpointing, False)
        ]
        return [self._rated(measured, tokens, *flops)]

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
            "device": meter.gpu_name(self.args.device),
            "versions": meter.versions(self.args.device),
            "commit": meter.commit(ROOT),
            "cut_layers": self.args.layers,
            "nano": self.args.nano,
            "precision": self.precision,
            "kernels": networks.kernels(),
            "peak_flops": self.peak,
            "peak_flops_source": self.peak_source,
            "seconds": time.monotonic() - self.started,
            "rows": self.rows,
        }


def study() -> dict:
    """{"methods": {name: options}, "probe": options, "training": section} of slurm/thesis.yaml."""
    import yaml

    thesis = yaml.safe_load((ROOT / "slurm" / "thesis.yaml").read_text())
    methods = {name: thesis["methods"][name] for name in METHODS}
    own = {name: {key: x for key, x in m.items() if key != "sweep"} for name, m in methods.items()}
    return {"methods": own, "probe": thesis["probes"]["activations"], "training": thesis["training"]}


def arguments(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=networks.SHAPES, default=list(networks.SHAPES))
    parser.add_argument("--layers", type=int, help="cut the networks to so many layers")
    parser.add_argument("--nano", action="store_true", help="toy sizes")
    parser.add_argument("--lengths", nargs="+", type=int, help="tokens of a document (300 2048; nano: 24 64)")
    parser.add_argument("--batch", type=int, default=4, help="documents of a training step, packed")
    parser.add_argument("--batch-tokens", type=int, help="tokens of a pass (8192; nano: 256)")
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
    args.lengths = args.lengths or ([24, 64] if args.nano else [300, 2048])
    args.batch_tokens = args.batch_tokens or (256 if args.nano else 8192)
    gpu = meter.gpu_name(args.device).lower().replace(" ", "-")
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
