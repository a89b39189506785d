"""The last lines of make: every claim once, the judged ones first, and where to read on."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted_claims import CASES_OF_ALL
from test_verdict_pages import judged

from implicit_sparsity.report import verdict_summary

SCRIPTS = Path(verdict_summary.__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return judged(tmp_path_factory.mktemp("all"), CASES_OF_ALL)


def test_the_end_of_make_names_every_claim_once(made, tmp_path):
    """With its statement where it was judged; read from results/ of the folder that make runs in."""
    claims = json.loads(Path(made[0]).read_text())["claims"]
    idle = [name for name, claim in claims.items() if claim["verdict"] == "NOT RUN"]
    assert idle and len(idle) < len(claims)
    command = [sys.executable, "-m", "implicit_sparsity.report.verdict_summary"]
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(SCRIPTS)}, "text": True}
    failed = subprocess.run(command, capture_output=True, **options)
    assert failed.returncode == 1 and failed.stderr.startswith("error: results/verdicts.json is not there")
    (tmp_path / "results").mkdir()
    shutil.copy(made[0], tmp_path / "results")
    *lines, last = subprocess.run(command, capture_output=True, check=True, **options).stdout.splitlines()
    assert lines.pop() == f"NOT RUN        {', '.join(idle)}" and "results/verdicts.md" in last
    result = [re.fullmatch(r"([A-Z ]+[A-Z]) +(H\w+) +(.+)", line).groups() for line in lines]
    expected = [(c["verdict"], name, c["statement"]) for name, c in claims.items() if name not in idle]
    assert sorted(result) == sorted(expected)


def claims(**verdicts):
    claims = {name: {"verdict": word, "statement": f"{name} is so."} for name, word in verdicts.items()}
    return {"claims": claims}


def test_claims_are_listed_by_verdict_and_in_their_own_order_within_it():
    verdicts = claims(H1a="INCONCLUSIVE", H1b="NOT RUN", H1c="NOT SUPPORTED", H2="SUPPORTED")
    verdicts["claims"] |= claims(H3="INCONCLUSIVE")["claims"]
    assert verdict_summary.summary(verdicts, Path("results")).splitlines() == [
        "SUPPORTED      H2   H2 is so.",
        "NOT SUPPORTED  H1c  H1c is so.",
        "INCONCLUSIVE   H1a  H1a is so.",
        "INCONCLUSIVE   H3   H3 is so.",
        "NOT RUN        H1b",
        "Why: results/verdicts.md   Figures: results/figures   One page: make report",
    ]


def test_where_all_are_judged_no_line_says_what_did_not_run():
    lines = verdict_summary.summary(claims(H1="SUPPORTED"), Path("elsewhere/results")).splitlines()
    assert lines[0] == "SUPPORTED      H1   H1 is so." and len(lines) == 2
    assert lines[1].startswith("Why: elsewhere/results/verdicts.md ")
    assert len(verdict_summary.summary(claims(), Path("results")).splitlines()) == 1
