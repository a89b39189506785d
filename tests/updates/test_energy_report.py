"""What a method reports of the shares that it holds: numbers by kind, and a word where a cap binds."""

import pytest

from implicit_sparsity.updates import energy_report

Q, DOWN = (
    "model.layers.{}.self_attn.q_proj.weight".format,
    "model.layers.{}.mlp.down_proj.weight".format,
)
HELD = {Q(0): 0.9, Q(1): 0.7, Q(2): 0.95, DOWN(0): 0.8}
NUMBERS = {"q": {"min": 0.7, "median": 0.9}, "down": {"min": 0.8, "median": 0.8}}


def test_where_no_energy_is_asked_for_none_is_short(caplog):
    assert energy_report.reached(HELD, None, "max_rank") == {"asked": None, "capped": 0} | NUMBERS
    assert not caplog.records
    assert energy_report.reached({}, None, "max_rank") == {"asked": None, "capped": 0}


@pytest.mark.parametrize("asked", [0.7, 0.7 + 5e-7])
def test_what_holds_as_much_as_is_asked_is_not_short(asked, caplog):
    """But for rounding."""
    assert energy_report.reached(HELD, asked, "max_rank") == {"asked": asked, "capped": 0} | NUMBERS
    assert not caplog.records


def test_one_short_weight_is_named_with_the_option_that_binds(caplog):
    result = energy_report.reached(HELD, 0.75, "max_rank")
    assert result == {"asked": 0.75, "capped": 1 / 4} | NUMBERS
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.getMessage() == (
        "max_rank binds in 1 of 4 weights: energy 0.75 is asked for, "
        f"{Q(1)} holds 0.700; raise max_rank, or ask for less"
    )


def test_of_several_short_weights_the_shortest_is_named(caplog):
    result = energy_report.reached(HELD, 0.92, "max_directions")
    assert result["capped"] == 3 / 4
    assert f"binds in 3 of 4 weights: energy 0.92 is asked for, {Q(1)} holds 0.700" in caplog.text
