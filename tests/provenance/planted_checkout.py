"""A git checkout of a few files."""

import subprocess
from pathlib import Path

FILES = {"Snakefile": "rule all:\n", "scripts/a.py": "A = 1\n", ".gitignore": "results/\n"}


def git(folder, *words):
    who = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def checkout(root, files=FILES) -> Path:
    """A new folder with one commit of these files."""
    root.mkdir()
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root
