"""What Snakemake takes to say what it would do: a config that is wrong, the small study, the thesis.

    make bench        (or: .venv/bin/python benchmarks/dryrun.py [--rounds 2])

Each in a folder with nothing but the workflow, so that no result is looked at. Seconds are the processor's,
the smallest of the rounds; memory is the process's peak. The goals are those of the project: 3 s for the line
about a wrong config, 30 s and 1 GB for the thesis.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("Snakefile", "config.yaml", "rules", "scripts", "envs", "slurm")
CASES = {
    "a wrong config": (["-n", "--config", "seeds=[-1]"], "goal 3 s"),
    "the small study": (["-n", "all"], "no goal"),
    "the thesis": (["--profile", "slurm", "-n", "all"], "goal 30 s, 1 GB"),
}


def once(folder: Path, arguments: list[str]) -> tuple[float, float, int]:
    """(processor seconds, peak in MB, jobs) of one Snakemake."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=folder, **streams)
    output = process.stdout.read()
    _, _, used = os.wait4(process.pid, 0)
    jobs = re.search(r"^total +(\d+)$", output, re.M)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3, int(jobs[1]) if jobs else 0


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name in NEEDED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, Path(place, name))
        for what, (arguments, goal) in CASES.items():
            seconds, peak, jobs = min(once(Path(place), arguments) for _ in range(rounds))
            print(f"{what:18s} {jobs:6d} jobs {seconds:6.1f} s {peak:6.0f} MB   ({goal})", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, help="the smallest of so many")
    main(parser.parse_args().rounds)
