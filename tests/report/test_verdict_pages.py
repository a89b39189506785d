"""What is written of verdicts: whole, equal for equal tables, published numbers where they belong."""

import json
import re

import numpy as np
import pytest
from judge_claims import judge_claims
from PIL import Image
from planted_claims import CASES_OF_ALL, FAMILIES, OPTIONS, ORDERS
from write_chapter import write_chapter

from implicit_sparsity.report import verdict_pages
from implicit_sparsity.storage.tables import write_table

FIGURES = ["critical_sparsity", "overlap_by_layer"]


def judged(folder, frames, options=OPTIONS):
    folder.mkdir(exist_ok=True, parents=True)
    for name, frame in frames.items():
        write_table(folder / f"{name}.csv", frame)
    made = [str(folder / name) for name in ("verdicts.json", "verdicts.md", "verdicts.html")]
    paths = [str(folder / f"{name}.csv") for name in frames]
    judge_claims(*made, paths, options, FAMILIES, ORDERS, FIGURES)
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return judged(tmp_path_factory.mktemp("all"), CASES_OF_ALL)


def test_the_file_has_all_that_a_verdict_takes(made):
    with open(made[0]) as file:
        result = json.load(file)
    assert list(result["claims"]) == [name.capitalize() for name in sorted(OPTIONS)]
    words = {name: claim["verdict"] for name, claim in result["claims"].items()}
    assert words["H1a"] == "SUPPORTED" and words["H1c"] == "NOT SUPPORTED"
    assert words["H1e"] == "INCONCLUSIVE" and words["H1d"] == words["H2b"] == "NOT RUN"
    for name, claim in result["claims"].items():
        for key in (
            "statement",
            "question",
            "refuted_by",
            "threshold",
            "side",
            "effect",
            "noise_floor",
            "why",
        ):
            assert claim[key] not in ("", None), (name, key)
        assert claim["options"]["threshold"] == OPTIONS[name.lower()]["threshold"]
        assert claim["evidence"] or claim["missing"], name
        for row in claim["evidence"]:
            assert row["verdict"] and row["why"] and row["n"] > 0
            assert {"effect", "low", "high", "noise", "detectable", "threshold"} <= set(row)
    assert result["claims"]["H1a"]["figure"] == "results/figures/critical_sparsity.pdf"
    assert result["claims"]["H1c"]["figure"] is None


def test_pages_say_what_the_file_says(made):
    with open(made[0]) as a, open(made[1]) as b, open(made[2]) as c:
        result, page, web = json.load(a), b.read(), c.read()
    for name, claim in result["claims"].items():
        assert f"## {name}: {claim['verdict']}" in page
        assert claim["statement"] in page and claim["statement"].replace("'", "&#x27;") in web
    assert page.count("| model | of | effect |") == sum(
        bool(c["evidence"]) for c in result["claims"].values()
    )
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if "| big |" in line}
    assert widths == {len(verdict_pages.HEAD) + 1}
    assert web.count("<table") == web.count("</table>") and "<script" not in web


def test_equal_tables_are_equal_bytes(made, tmp_path):
    again = judged(tmp_path / "again", CASES_OF_ALL)
    for a, b in zip(made, again):
        with open(a, "rb") as x, open(b, "rb") as y:
            assert x.read() == y.read()


def test_a_study_without_tables_is_not_run(tmp_path):
    made = judged(tmp_path / "none", {})
    with open(made[0]) as file:
        assert {claim["verdict"] for claim in json.load(file)["claims"].values()} == {"NOT RUN"}


def test_the_chapter_has_question_figure_and_verdict(made, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("critical_sparsity", "other"):
        Image.fromarray(rng.integers(0, 255, (600, 1890, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    pictures = [str(tmp_path / "critical_sparsity.png"), str(tmp_path / "other.png")]
    texts = []
    for name in ("a", "b"):
        write_chapter(str(tmp_path / name), made[0], pictures)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert texts[0].count("<img") == 1 and "data:image/png;base64," in texts[0]
    after = texts[0].split("H1a. Are the activations of a token sparse?")[1]
    assert after.index("<img") < after.index("SUPPORTED:") < after.index("H1b.")
