"""``python -m implicit_sparsity.provenance.explaining``: the tree on stdout, a refusal in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from provenance.planted_jobs import made, no_job, table_of_scores  # noqa: F401 (a fixture)

from implicit_sparsity.provenance.explaining import tree

SCRIPTS = Path(tree.__file__).parents[3]


def explain(*arguments):
    """As the Makefile calls it; the standard library alone is needed."""
    command = [sys.executable, "-S", "-m", "implicit_sparsity.provenance.explaining", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    "file, match",
    [
        ("results/figures/nothing.pdf", "no such file"),
        ("config.yaml", "is not in a folder results/"),
        ("results/README.md", "is no artifact of a study"),
    ],
)
def test_explain_refuses_in_one_line(tmp_path, file, match):
    made(tmp_path / "config.yaml", "x: 1\n")
    made(tmp_path / "results" / "README.md", "words\n")
    done = explain(tmp_path / file)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and match in done.stderr


def test_the_tree_is_printed_with_all_inputs_if_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table_of_scores(5)
    few, everything = explain("results/tables/scores.csv"), explain("--all", "results/tables/scores.csv")
    assert few.returncode == everything.returncode == 0, few.stderr + everything.stderr
    assert few.stdout.splitlines() == list(tree.lines("results/tables/scores.csv"))
    assert everything.stdout.splitlines() == list(tree.lines("results/tables/scores.csv", everything=True))
    assert few.stdout.count(".json") == 3 and everything.stdout.count(".json") == 5
