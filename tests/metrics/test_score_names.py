"""Every score has words and a unit."""

from implicit_sparsity.metrics import score_names
from implicit_sparsity.passes.evaluation import HIGHER_IS_BETTER


def test_losses_are_in_nats_and_shares_are_not():
    units = {score: score_names.unit(score) for score in HIGHER_IS_BETTER}
    nats = {score for score, unit in units.items() if unit == "nat"}
    assert nats == set(score_names.LABELS) and set(units.values()) == {"nat", "1"}
    assert score_names.axis("loss_content") == "content loss, nats/token"
    assert score_names.axis("exact_match") == score_names.label("exact_match") == "exact match"
