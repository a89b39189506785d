"""What a stage of every method costs, against PEFT LoRA (rank 8, all linear layers) under a plain
``transformers.Trainer``, same documents.

    .venv/bin/python benchmarks/training.py            SmolLM2 of the default study: run `make` first
    .venv/bin/python benchmarks/training.py --methods lora,ewc --rounds 1
    .venv/bin/python benchmarks/training.py --nano     toy sizes in one process: figures mean nothing

Each run is a process of its own, so that its peak memory is its own. A round runs every method once and the
peer between every few of them; a ratio is against the mean of the two peers around it, and the median and
range over rounds are printed. Methods are timed in a second stage, where their constraints are at work, per
token, padding not counted: joint trains more steps a stage, and is reported per token like the others. Time
and memory are those of ``Trainer.train``, the method's projections and the audit of every step included. What
a stage takes once has columns of its own: ``begin`` (activity, decompositions), ``end`` (Fisher information,
subspaces, with its peak memory), ``audit`` (of frozen weights and the whole stage). A method that chooses
among experts is measured on a mixture with random weights, against PEFT LoRA on that.

The peer pads each random batch to its longest document and runs the head on every position, as Trainer does;
ours sorts by length and runs the head on completion positions. Threads: ``--threads``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(Path(__file__).resolve().parent)]

from stagecost import cases, summary, worker  # noqa: E402

PEER_EVERY = 4  # methods between two runs of the peer
QUIET = 0.5  # processes that wanted a core before the first run


class Run:
    """All rounds; ``result``: {method: [a result with ``time`` and ``memory``, ratios to the peer]}."""

    def __init__(self, args, scratch):
        self.args, self.scratch = args, Path(scratch)
        self.kinds = {name: cases.kind(name) for name in args.methods}
        self.places = cases.places(args.nano, {*self.kinds.values()}, scratch)
        self.options = cases.OPTIONS | (cases.NANO_OPTIONS if args.nano else {})
        self.past = [name for name in args.methods if cases.says(name, "STARTS") == "previous"]
        self.result = {name: [] for name in args.methods}

    def all(self) -> None:
        for name in self.past:  # once: what the second stage starts from
            self.one(name, "dense", seed=0, steps=2, domains=cases.DOMAINS[:1], save=self.first(name))
        for seed in range(self.args.rounds):
            for kind in sorted(self.places):
                names = [name for name in self.args.methods if self.kinds[name] == kind]
                turn = seed % max(1, len(names))
                self.round(names[turn:] + names[:turn], kind, seed)

    def round(self, names, kind, seed) -> None:
        """Blocks of methods, a run of the peer before each and after the last."""
        before = self.one(None, kind, seed)
        for start in range(0, len(names), PEER_EVERY):
            block = {name: self.one(name, kind, seed) for name in names[start : start + PEER_EVERY]}
            after = self.one(None, kind, seed)
            for name, result in block.items():
                ratios = {
                    key: result[key] / statistics.mean([before[key], after[key]])
                    for key in ("time", "cpu_time", "memory")
                }
                ratios["peer_parameters"] = before["parameters"]
                self.result[name].append(result | {"peak_mb": result["memory"]} | ratios)
                print(f"round {seed + 1} {name}: {ratios['time']:.2f}", file=sys.stderr, flush=True)
            before = after

    def first(self, name) -> str:
        return str(self.scratch / "first" / name)

    def one(self, name, kind, seed, steps=None, domains=cases.DOMAINS, save=None) -> dict:
        """One process's result: phases, tokens, parameters; of training seconds a token and peak MB."""
        kind = self.kinds.get(name, kind)
        asked = {
            "method": name,
            "options": self.options.get(name, {}),
            "place": self.places[kind],
            "domains": list(domains) if name else [cases.DOMAINS[-1]],
            "steps": steps or self.args.steps,
            "seed": seed,
            "threads": self.args.threads,
            "previous": self.first(name) if name in self.past and not save else None,
            "save": save,
        }
        result = (worker.measure if self.args.nano else separate)(asked)
        train, tokens = result["phases"]["train"], result["tokens"]
        return result | {
            "time": train["seconds"] / tokens,
            "cpu_time": train["cpu_seconds"] / tokens,
            "memory": train["peak_mb"],
        }


def separate(asked: dict) -> dict:
    """What ``worker.measure`` finds in a process of its own."""
    command = [sys.executable, "-m", "stagecost.worker", json.dumps(asked)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        sys.exit(f"benchmarks/training.py: {asked['method'] or 'the peer'} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(args) -> None:
    from onegpu import meter

    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run = Run(args, scratch)
        except FileNotFoundError as missing:
            sys.exit(f"benchmarks/training.py: run `make` first, it needs {missing}")
        run.all()
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": load,
        "quiet": load <= QUIET,
        "nano": args.nano,
        "steps": args.steps,
        "rounds": args.rounds,
        "threads": args.threads,
        "versions": meter.versions("cpu"),
        "commit": meter.commit(ROOT),
        "rows": [
            summary.summary(name, outcome, run.kinds[name], args.nano) for name, outcome in run.result.items()
        ],
    }
    print(summary.table(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


def arguments(given=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--methods", type=lambda text: text.split(","), default=cases.methods())
    parser.add_argument("--nano", action="store_true", help="toy sizes, to see that it runs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args(given)
    if unknown := sorted(set(args.methods) - set(cases.methods())):
        parser.error(f"no method {unknown[0]}; there are {', '.join(cases.methods())}")
    return args


if __name__ == "__main__":
    main(arguments())
