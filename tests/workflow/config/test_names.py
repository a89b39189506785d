"""Names that one part of a config uses of another, and names that are switched off."""

import pytest
import refusals
import yaml

from implicit_sparsity.workflow.config import names
from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.load import load

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "claims: {h2a: {method: activation_msk}}": (
        "claims.h2a.method",
        "'activation_msk', which is no method",
        "did you mean activation_mask?",
    ),
    "claims: {h2a: {against: lroa}}": ("claims.h2a.against", "'lroa'", "did you mean lora?"),
    "claims: {h4: {methods: [lroa]}}": ("claims.h4.methods[0]", "'lroa'", "did you mean lora?"),
    "claims: {h1d: {models: [nope]}}": ("claims.h1d.models[0]", "'nope'", "smollm2"),
    "figures: {overview: {models: [x]}}": ("figures.overview.models[0]", "'x', which is no model", "smollm2"),
    "figures: {method_comparison: {score: los_content}}": (
        "method_comparison.score",
        "'los_content'",
        "did you mean loss_content?",
    ),
    "hardware: {card: h200, cards_per_job: {smolm2: 2}}": (
        "hardware.cards_per_job.smolm2",
        "which is no model",
        "did you mean smollm2?",
    ),
    "methods: {orthogonl: false}": ("methods.orthogonl", "no file has", "did you mean orthogonal?"),
    "figures: {hub: false}": ("figures.hub", "no file has", "did you mean hubs?"),
    "models: {qq: false}": ("models.qq", "no file has", "smollm2"),
    "domains: {code: {sources: {human_evl: false}}}": (
        "code.sources.human_evl",
        "no file has",
        "did you mean human_eval?",
    ),
    "optional: {ladder: {figures: {hub: false}}}": ("figures.hub", "no file has", "did you mean hubs?"),
    "hardware: {card: h200, budget: {smolm2: {total_hours: [1, 2]}}}": (
        "hardware.budget.smolm2",
        "which is no model",
        "did you mean smollm2?",
    ),
    "orders: {backward: false}": ("orders.backward", "no file has", "forward"),
    "domains: {law: false}": ("domains.law", "no file has", "general"),
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


def test_names_are_gathered_of_all_layers_and_of_parts_that_nobody_asked_for():
    lowest = {"methods": {"lora": {}, "full": False}, "domains": {"code": {"sources": {"a": {}}}}}
    later = {
        "methods": {"ewc": {}, "osf": False},
        "optional": {"more": {"methods": {"l2": {}}}, "none": False},
    }
    everything = names.contents([("a", lowest), ("b", later)])
    assert [where for where, _ in everything] == ["a", "b", "b (optional.more)"]
    assert names.given(everything) == {
        ("methods",): {"lora", "full", "ewc", "l2"},  # osf: named to be removed, and by a later file
        ("domains",): {"code"},
        ("domains", "code", "sources"): {"a"},
    }


def test_what_is_removed_was_there_or_is_a_module():
    everything = [("a", {"methods": {"mine": {}}}), ("b", {"methods": {"mine": False, "o_lora": False}})]
    names.check_removals(everything, names.given(everything))
    wrong = [("b", {"orders": {"forward": False}})]
    with pytest.raises(ConfigError) as error:
        names.check_removals(wrong, {})
    words = "found false, for an entry 'forward' that no file has, allowed: none, there is nothing to remove"
    assert str(error.value) == f"b: orders.forward: {words}"


@pytest.mark.parametrize(
    "overlay",
    [
        "methods: {o_lora: false}",  # a module that this study does not use
        "models: {nano_64: false}",  # of an optional part that is not asked for
        "methods: {orthogonal: false}",  # H2b and H4 name it: NOT RUN
        "claims: {h2b: {threshold: 0.02, method: o_lora}}",
        "hardware: {card: h200, cards: 2, cards_per_job: {smollm2: 2}}",
    ],
)
def test_a_name_that_is_known_may_be_removed_or_passed_over(folder, overlay):
    (folder / "overlay.yaml").write_text(overlay)
    load(["config.yaml", "overlay.yaml"])


def test_what_the_lowest_file_switches_off_needs_no_file_below(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["domains"]["code"]["sources"]["mine"] = False
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert "mine" not in load(["config.yaml"]).given["domains"]["code"]["sources"]
