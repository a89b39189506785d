"""How much of a finished run was not work: launching Python, imports, loading models, Snakemake, idle cores.

    .venv/bin/python benchmarks/startup.py [--cores 2]      (part of `make bench`)

Read from what the last run left behind: the times of its log in .snakemake/log, each job's seconds in
results/benchmarks and its log in results/logs, which says when the job's own code began, when a model was in
memory and when it was done. Only jobs of that run count.
"""

import argparse
import csv
import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) \w+ (\S+): (.*)$", re.M)


def last_run(notes: Path) -> tuple[datetime, float]:
    """(beginning, seconds) of the newest Snakemake run that finished jobs: of its log, the name and the last
    change. What is in the log is for people."""
    ends = [
        json.loads(note.read_text())["endtime"] for note in (notes / "metadata").rglob("*") if note.is_file()
    ]
    for log in sorted((notes / "log").glob("*.snakemake.log"), reverse=True):
        began = datetime.strptime(log.name.split(".")[0], "%Y-%m-%dT%H%M%S")
        seconds = log.stat().st_mtime - began.timestamp()
        if any(0 <= end - began.timestamp() <= seconds for end in ends if end):
            return began, seconds
    sys.exit("benchmarks/startup.py: run `make` first, there is no finished run in .snakemake/log")


def job_seconds(benchmark: Path) -> float:
    with benchmark.open(newline="") as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])


def spent(log: Path, seconds: float) -> tuple[datetime, float, float]:
    """(beginning, launch, imports and loading) of one job; the last is 0 where no model is loaded."""
    lines = [
        (datetime.strptime(t, "%Y-%m-%d %H:%M:%S,%f"), text) for t, _, text in STAMP.findall(log.read_text())
    ]
    began = lines[0][0]
    done = float(re.search(r"done in ([\d.]+) s", lines[-1][1]).group(1))
    loaded = next((when for when, text in lines if text == "model loaded"), began)
    return began, max(0.0, seconds - done), (loaded - began).total_seconds()


def main(cores: int) -> None:
    began, wall = last_run(ROOT / ".snakemake")
    launch = load = total = 0.0
    jobs = 0
    for benchmark in sorted((ROOT / "results" / "benchmarks").rglob("*.tsv")):
        rule = benchmark.parent.name
        log = ROOT / "results" / "logs" / rule / f"{benchmark.stem}.log"
        seconds = job_seconds(benchmark)
        if not log.is_file() or "done in" not in log.read_text():
            continue
        start, launching, loading = spent(log, seconds)
        if began - timedelta(seconds=5) <= start <= began + timedelta(seconds=wall + 5):
            jobs, launch, load, total = jobs + 1, launch + launching, load + loading, total + seconds
    capacity = cores * wall
    print(f"last run: {jobs} jobs, {wall:.0f} s on {cores} cores")
    parts = {
        "launching Python": launch,
        "imports and model loading": load,
        "Snakemake itself and idle cores": capacity - total,
    }
    for name, seconds in parts.items():
        print(f"  {name:33s} {seconds:6.0f} s  {seconds / capacity:6.1%}")
    print(f"  {'not work, in all':33s} {sum(parts.values()):6.0f} s  {sum(parts.values()) / capacity:6.1%}")
    if jobs:
        added = {"launching Python": launch, "Snakemake and idle cores": capacity - total}
        each = ", ".join(f"{name} {seconds / jobs:.2f} s" for name, seconds in added.items())
        print(f"  what the workflow adds to a job:  {each} (imports and loading {load / jobs:.2f} s)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cores", type=int, default=2, help="cores the run was given")
    main(parser.parse_args().cores)
