"""Copies of this repository in which tests run whole studies, and what a study made, ready to be compared.

Fields that may differ between two runs of one study (docs/cluster.md lists them for users): what was
`measured` of time and memory, `date`, the device and commit an artifact was `made` with. All other bytes are
the same.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import warm
import yaml

ROOT = Path(__file__).parent.parent
MAY_DIFFER = ("measured", "date", "made", "git_hash")
TEXTS = (".pdf", ".png", ".md", ".tex", ".html")
# what a job leaves besides its artifacts: how it went, not what it found
ASIDE = ("logs", "benchmarks", "plan", "README.md")
PROBES = ("activations", "activation_sparsity", "drift", "representation_drift")
FIGURES = ("sparsity_by_layer", "loss_curves")


def copy_repository(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """The working tree as a clone would have it; ``without``: beginnings of paths that are left out."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(without):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def trimmed(measured=PROBES, **changes) -> dict:
    """An overlay over tests/nano.yaml: one model, one method, two domains, few probes."""
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    nano = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())
    rooms = {room: {**base[room], **nano.get(room, {})} for room in ("probes", "figures", "methods")}
    keep = {"probes": measured, "figures": FIGURES, "methods": ("lora",)}
    overlay = {
        room: {name: False for name in entries if name not in keep[room]} for room, entries in rooms.items()
    }
    overlay["probes"]["activations"] = {"controls": []}
    return overlay | {
        "models": {"nano_moe": False},
        "domains": {
            "code": {"sources": {"human_eval": False}},
            "math": {"sources": {"champ": False}},
            **{name: False for name in base["domains"] if name not in ("code", "math")},
        },
        "reference": False,
        "orders": {"forward": ["code", "math"]},
        "splits": {"train": 16, "probe": 6, "select": 4, "eval": 4},
        **changes,
    }


def trimmed_study(folder: Path, **changes) -> Path:
    """A copy of the repository with a trimmed study as trimmed.yaml."""
    copy_repository(folder)
    (folder / "trimmed.yaml").write_text(yaml.safe_dump(trimmed(**changes)))
    return folder


CONFIGS = ("tests/nano.yaml", "trimmed.yaml")


def command(*arguments):
    return [sys.executable, "-m", "snakemake", *arguments, "--configfile", *CONFIGS]


def environment(**more):
    """One thread, wide output, and of the tests' own packages none that a study has no use for.

    Jobs are forks of a process that has their imports (warm.py), unless ``more`` is given: libraries may read
    it as they are imported.
    """
    server = "" if more else warm.server()
    lean = os.pathsep.join(filter(None, [more.pop("PYTHONPATH", ""), str(ROOT / "tests/lean")]))
    return os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": lean, "WARM": server} | more


def run(folder, *arguments, check=True, timeout=560, **more):
    """What a finished Snakemake said of the trimmed study."""
    return reported(snakemake(folder, *arguments, "--configfile", *CONFIGS, timeout=timeout, **more), check)


def reported(done, check=True) -> str:
    """What a finished process said; one that failed is an error unless that is not checked."""
    text = done.stdout + done.stderr
    if check and done.returncode:
        raise AssertionError(f"{done.args}\n{text[-6000:]}")  # whole: assert would cut it
    return text


def snakemake(folder, *arguments, timeout=560, **more) -> subprocess.CompletedProcess:
    """A finished ``snakemake ARGUMENTS`` in ``folder``."""
    return warm.snakemake(folder, *arguments, environment=environment(**more), timeout=timeout)


def finished_jobs(output: str) -> list[str]:
    """Rules whose jobs a run finished, in order."""
    return re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", output, re.M)


def planned_jobs(output: str) -> dict[str, int]:
    """{rule: jobs} of what a dry run said, with their "total"."""
    return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", output, re.M)}


def artifacts(folder: Path) -> dict:
    """{path: bytes} of results/, without what may differ."""
    results, result = Path(folder) / "results", {}
    for path in sorted(results.rglob("*")):
        parts = path.relative_to(results).parts
        aside = parts[0] in ASIDE or any(part.startswith(".") for part in parts)
        if path.is_file() and not aside:
            result["/".join(parts)] = content(path)
    return result


def content(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(without(json.loads(data))).encode()
    if path.name == "stages.csv":
        rows = list(csv.reader(data.decode().splitlines()))
        columns = [number for number, name in enumerate(rows[0]) if not name.startswith("measured.")]
        return "\n".join(",".join(row[number] for number in columns) for row in rows).encode()
    # the record of provenance in the text of figures and pages
    return re.sub(rb'"made": ?\{[^{}]*\}', b"", data) if path.suffix in TEXTS else data


def without(value):
    """A JSON value without the fields that may differ, wherever they stand."""
    if isinstance(value, dict):
        return {key: without(entry) for key, entry in value.items() if key not in MAY_DIFFER}
    return [without(entry) for entry in value] if isinstance(value, list) else value


def recipe(method, options, training, domains=("code",), base=None, **more) -> dict:
    """What the rule ``train_adapter`` hands to its script, of the last of ``domains``."""
    named = {"model": "m", "method": method, "order": "o", "seed": "0", "stage": str(len(domains))}
    given = {"base": base or {}, "options": options, "training": training, "domains": list(domains)}
    return named | given | more
