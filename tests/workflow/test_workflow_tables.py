"""Which tables a study makes, which of them figures and claims read, and what figures look like."""

import pytest

from implicit_sparsity.workflow import source, tables
from implicit_sparsity.workflow.tables import SCORES, figure_style

NONE = {"models": {"a": {}}, "methods": {}, "probes": {}, "claims": {}}
LEARNS = NONE | {"methods": {"lora": {}}}


def test_scores_are_made_of_every_study_and_the_rest_where_a_model_learns():
    assert tables.made_tables(NONE) == ["documents", "scores"]
    assert tables.made_tables(LEARNS) == ["documents", *SCORES]
    assert tables.made_tables(LEARNS | {"models": {"a": {"trained": False}}}) == ["documents", "scores"]
    assert tables.made_tables(LEARNS | {"models": {"a": {"trained": False}, "b": {}}}) == [
        "documents",
        *SCORES,
    ]


def test_a_probe_makes_a_table_and_a_measurement_none():
    probes = {"activations": {}, "hubs": {}, "drift": {}, "routing_drift": {}}
    assert tables.made_tables(NONE | {"probes": probes}) == ["documents", "scores", "hubs", "routing_drift"]


def test_a_figure_reads_what_it_needs_and_what_else_is_made():
    both = LEARNS | {"probes": {"activation_overlap": {}, "critical_sparsity": {}}}
    assert tables.figure_tables(both, "hubs") == ["hubs"], "made or not: a study without it is refused"
    assert tables.figure_tables(both, "overview") == ["activation_overlap", "critical_sparsity", "metrics"]
    assert tables.figure_tables(NONE, "overview") == ["activation_overlap"]


def test_claims_read_those_tables_of_theirs_that_are_made():
    probes = {"activation_overlap": {}, "hubs": {}}
    asked = {"claims": {"h1b": {}, "h1c": {}, "h2a": {}}}  # overlap, gradients, comparisons and metrics
    assert tables.claimed_tables(LEARNS | {"probes": probes} | asked) == [
        "metrics",
        "comparisons",
        "activation_overlap",
    ]
    assert tables.claimed_tables(NONE | asked) == [] == tables.claimed_tables(LEARNS)


def test_the_style_is_its_rules_without_comments(tmp_path, monkeypatch):
    assert figure_style() and not any("#" in line for line in figure_style())
    style = tmp_path / source.PACKAGE / "figures/thesis.mplstyle"
    style.parent.mkdir(parents=True)
    style.write_text("# of a page\nfont.size: 7 # points\n\n   axes.grid: True\n  # more\n")
    monkeypatch.setattr(tables, "SCRIPTS", tmp_path)
    assert figure_style() == ["font.size: 7", "axes.grid: True"]


@pytest.mark.parametrize("room", ["figures", "claims"])
def test_tables_that_are_read_are_made_by_something(room):
    """A slip of the hand in a literal would be found by who switches the figure on."""
    known = {*SCORES, *source.available("probes")}
    for name in source.available(room):
        place = source.module_name(room, name)
        read = (*source.class_literal(place, "TABLES"), *source.class_literal(place, "OPTIONAL"))
        assert read and set(read) <= known, name


def test_figures_of_later_stages_are_left_out_where_no_order_has_any():
    figures = {"forgetting_learning": {}, "loss_curves": {}, "recovery": {}}
    assert tables.left_out({"orders": {"a": ["x"], "b": ["y"]}, "figures": figures}) == [
        "forgetting_learning",
        "recovery",
    ]
    assert tables.left_out({"orders": {"a": ["x"], "b": ["y", "x"]}, "figures": figures}) == []
