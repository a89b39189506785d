"""The peers' packages, in a folder of their own beside the running environment.

They are in no lock: ours does not need them. Pinned, without what is installed here already (torch first of
all) and without what they ask for only to talk to services.
"""

import subprocess
import sys
from pathlib import Path

PINS = (
    "transformer-lens==4.3.0",
    "nnsight==0.8.1",
    "beartype==0.23.1",
    "cloudpickle==3.1.2",
    "einops==0.8.2",
    "fancy-einsum==0.0.3",
    "jaxtyping==0.3.11",
    "sentencepiece==0.2.3",
    "sniffio==1.3.1",
    "typeguard==4.6.0",
    "wadler-lindig==0.1.8",
    "zstandard==0.25.0",
)


def install(folder: Path) -> str | None:
    """Fill ``folder`` unless an earlier run did; returns why it could not, or None."""
    stamp = folder / "pins.txt"  # written last: without it the folder is not whole
    if stamp.is_file() and stamp.read_text().split() == list(PINS):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target"]
    try:
        done = subprocess.run([*command, str(folder), *PINS], capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "pip did not finish in 600 s"
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return "pip: " + (errors[-1] if errors else done.stderr.strip() or f"exit {done.returncode}")
    stamp.write_text("\n".join(PINS) + "\n")
    return None
