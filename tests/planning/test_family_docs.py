"""docs/models.md is what the code says."""

from pathlib import Path

from implicit_sparsity.models.families import FAMILIES
from implicit_sparsity.planning import family_docs


def test_the_page_is_that_of_the_code():
    page = Path(__file__).resolve().parents[2] / "docs/models.md"
    command = "PYTHONPATH=scripts python -m implicit_sparsity.planning.family_docs > docs/models.md"
    assert page.read_text() == family_docs.render(), f"docs/models.md is out of date: {command}"


def test_a_row_says_what_a_family_does_and_cannot_take():
    rows = {line.split("`")[1]: line for line in family_docs.render().splitlines() if line.startswith("| `")}
    assert FAMILIES.keys() <= rows.keys()
    assert "| divided by `logits_scaling` | dense | `expert_mask` |" in rows["granite"]
    assert "| dense, one attention kernel | `expert_mask`, `thresholds` |" in rows["gemma2"]
    assert "routed experts alone | `curvature`, `side_branch` |" in rows["mixtral"]
    assert rows["qwen3_5_moe_text"].endswith("mixtures with a shared expert |  |")
