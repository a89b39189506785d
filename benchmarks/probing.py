"""The activation pass against the plain forward pass and against TransformerLens and nnsight, in one run.

    .venv/bin/python benchmarks/probing.py [--tokens 1024] [--rounds 7] [--quick] [--out found.json]

All statistics that config.yaml asks for, on the model and documents of a finished run. Every contender is a
process of one thread that holds the model; a round runs each of them once, one after the other, so ratios are
paired. Peers get at the activations in their own way and reduce them with our accumulators, so that only the
getting differs, or in plain PyTorch, which is what their user has at hand. Processor seconds say the same on
a machine that others use as well. Before anything is timed, the sums of |h| of every neuron must agree.

Memory is the most that a pass takes above what the process held before, by tokens: for a peer that reduces
batch by batch, and for one that keeps the activations of all tokens first ("kept"). A peer that cannot be
installed, or fails, has a row that says why.
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from contenders import peers, tables

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / ".peers"
PASSES = {  # pass: (process, what of ``contenders.passes`` it runs, reduced in plain PyTorch)
    "backbone": ("own", "backbone", False),
    "ours": ("own", "ours", False),
    "nnsight": ("nnsight", "nnsight", False),
    "nnsight_plain": ("nnsight", "nnsight", True),
    "transformerlens_headless": ("transformerlens_headless", "transformerlens_headless", False),
    "transformerlens": ("transformerlens", "transformerlens", False),
    "transformerlens_plain": ("transformerlens", "transformerlens", True),
}
TOLERANCE = 1e-3  # largest relative difference of a neuron's sum of |h|
WANTED = ("skip_first", "groups", "batch_tokens", "top_k", "thresholds")  # of probes.activations
PATIENCE = 600  # seconds for one answer


class Contender:
    """A process of ``contenders.worker``."""

    def __init__(self, settings: dict, verbose: bool):
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'benchmarks'}"}
        command = [sys.executable, "-m", "contenders.worker", json.dumps(settings)]
        pipes = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": None if verbose else subprocess.DEVNULL,
        }
        self.process = subprocess.Popen(command, env=environment, bufsize=0, **pipes)

    def ask(self, name: str, tokens: int, keep: bool = False, sums: Path | None = None) -> dict:
        _, do, plain = PASSES[name]
        command = {"do": do, "tokens": tokens, "keep": keep, "plain": plain, "sums": sums and str(sums)}
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
        except BrokenPipeError:
            return {"error": f"the process ended with {self.process.wait()}"}
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        return {"error": f"no answer in {PATIENCE} s" if not ready else "the process ended"}

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def difference(ours, theirs) -> float:
    """Largest relative difference of two arrays of sums; inf where only one is zero, or not finite."""
    import numpy as np

    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    scale = np.minimum(ours, theirs)
    return float(
        np.divide(abs(ours - theirs), scale, out=np.where(ours == theirs, 0.0, np.inf), where=scale > 0).max()
    )


def compare(processes: dict, failed: dict, tokens: int, folder: Path) -> dict:
    """pass -> largest relative difference of its sums from ours; what fails or disagrees goes to failed."""
    import numpy as np

    result, wanted = {}, None
    for name, (owner, _, _) in PASSES.items():
        if name in failed:
            continue
        answer = processes[owner].ask(name, tokens, False, folder / f"{name}.npy")
        if "error" in answer:
            failed[name] = answer["error"]
        elif name != "backbone":
            sums = np.load(folder / f"{name}.npy", allow_pickle=False)
            wanted = sums if wanted is None else wanted
            result[name] = difference(wanted, sums)
            if not result[name] <= TOLERANCE:
                failed[name] = f"other statistics: a sum of |h| differs by {result[name]:.1e}"
    return result


def timed(processes: dict, failed: dict, tokens: int, rounds: int) -> list[dict]:
    """One {pass: answer} a round; the order turns, so that none always comes after the same one."""
    result = []
    for number in range(rounds):
        names = [name for name in PASSES if name not in failed]
        turn = number % len(names)
        result.append(
            {name: processes[PASSES[name][0]].ask(name, tokens) for name in names[turn:] + names[:turn]}
        )
        failed |= {name: answer["error"] for name, answer in result[-1].items() if "error" in answer}
    return result


def memory(processes: dict, failed: dict, tokens: int) -> list[dict]:
    """Rows {pass, kept, peak_mb: [at 1, 2 and 4 times tokens // 2]}."""
    rows = []
    for name, (owner, _, plain) in PASSES.items():
        for keep in (False, True) if owner != "own" else (False,):
            if name in failed or plain:
                continue
            answers = [processes[owner].ask(name, tokens * n // 2, keep) for n in (1, 2, 4)]
            error = next((answer["error"] for answer in answers if "error" in answer), None)
            peaks = None if error else [answer["peak_mb"] for answer in answers]
            rows.append({"pass": name, "kept": keep, "peak_mb": peaks, "note": error})
    return rows


def measure(args, settings: dict, folder: Path) -> dict:
    kinds, failed = {"own"}, {}
    why = "left out (--no-peers)" if args.no_peers else peers.install(args.peers)
    for name, (owner, _, _) in PASSES.items():
        if owner != "own" and why:
            failed[name] = why
        else:
            kinds.add(owner)
    processes = {}
    try:
        processes |= {kind: Contender(settings, args.verbose) for kind in sorted(kinds)}
        differences = compare(processes, failed, args.tokens, folder)
        refuse(failed)
        rounds = timed(processes, failed, args.tokens, args.rounds)
        refuse(failed)
        rows = tables.summary(PASSES, rounds, differences, failed)
        measured = memory(processes, failed, args.tokens)
    finally:
        for process in processes.values():
            process.close()
    return {
        "tokens": args.tokens,
        "rounds": args.rounds,
        "rows": rows,
        "memory_tokens": [args.tokens * n // 2 for n in (1, 2, 4)],
        "memory": measured,
    }


def refuse(failed: dict) -> None:
    """Without what the others are compared with there is nothing to say."""
    for name in ("backbone", "ours"):
        if name in failed:
            sys.exit(f"benchmarks/probing.py: {name}: {failed[name]}")


def main() -> None:
    args = arguments()
    options = yaml.safe_load((ROOT / "config.yaml").read_text())["probes"]["activations"]
    if not args.model.is_dir() or not args.documents or not all(each.is_dir() for each in args.documents):
        sys.exit(
            "benchmarks/probing.py: run `make` first, it needs results/models/smollm2 and results/tokens/"
        )
    settings = {
        "model": str(args.model),
        "documents": [str(each) for each in args.documents],
        "peers": str(args.peers),
        "options": {name: options[name] for name in WANTED},
    }
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args, settings, Path(folder))
    print(tables.report(result), flush=True)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ROOT / "results" / "models" / "smollm2")
    parser.add_argument("--documents", type=Path, nargs="+", help="token folders of the model")
    parser.add_argument("--tokens", type=int, help="that count, 1024; memory also at half and at twice")
    parser.add_argument("--rounds", type=int, help="7")
    parser.add_argument("--peers", type=Path, default=PEERS, help="where their packages are put")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument(
        "--quick", action="store_true", help="two rounds of 128 tokens: that it runs, no more"
    )
    parser.add_argument("--verbose", action="store_true", help="what the processes print")
    parser.add_argument("--out", type=Path, help="the same as JSON")
    args = parser.parse_args()
    args.tokens = args.tokens or (128 if args.quick else 1024)
    args.rounds = args.rounds or (2 if args.quick else 7)
    domains = sorted((ROOT / "results" / "tokens" / "smollm2").glob("*/"))
    args.documents = args.documents or domains
    return args


if __name__ == "__main__":
    main()
