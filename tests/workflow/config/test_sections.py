"""Keys of config.yaml that say how a study is done: methods, budgets, scores, comparisons."""

import pytest
import refusals
from pydantic import TypeAdapter, ValidationError

from implicit_sparsity.workflow.config.load import load
from implicit_sparsity.workflow.config.sections import Comparisons, Config, Margins, Method

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "comparisons: {at: middle}": ("comparisons.at", "'middle'", "reference | common | number"),
    "comparisons: {margins: {loss_content: 0}}": ("comparisons.margins.loss_content", "0", "> 0"),
    "comparisons: {margins: {bleu: 1}}": ("comparisons.margins.bleu", "unknown key", "loss_content"),
    "probes: {activations: false}": ("probes.activations", "nothing", "mapping"),
    "seeds: 0": ("seeds", "0", "list"),
    "seeds: [0, 1, 0]": ("seeds", "0 twice", "each value once"),
    "probed_methods: [lora, lora]": ("probed_methods", "'lora' twice", "each value once"),
    "probed_methods: some": ("probed_methods", "'some'", "all, or a list of methods"),
    "evals: {generate: [math, math]}": ("evals.generate", "'math' twice", "each value once"),
    "evals: {choice_items: -1}": ("evals.choice_items", "-1", "integer >= 0"),
    "comparisons: {draws: 99}": ("comparisons.draws", "99", "integer >= 100"),
    "comparisons: {at: true}": ("comparisons.at", "true", "reference | common | number"),
    "seeds: [-1]": ("seeds[0]", "-1", "integer >= 0"),
    "seeds: []": ("seeds", "an empty list", "with at least one entry"),
    "orders: {forward: []}": ("orders.forward", "an empty list", "with at least one entry"),
    "orders: {forward: code}": ("orders.forward", "'code'", "list"),
    "probes: {hubs: 3}": ("probes.hubs", "3", "mapping"),
    "controls: maybe": ("controls", "'maybe'", "true or false"),
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


@pytest.mark.parametrize("at", ["reference", "common", 0.3, 2])
def test_methods_are_compared_at_a_word_or_a_number(at):
    given = {"reference": "lora", "at": at, "margins": {"loss_content": 0.1}, "draws": 100}
    assert Comparisons.model_validate(given).at == at


def test_margins_name_a_score_and_a_study_has_the_activation_pass():
    assert Margins.model_validate({}).loss_content is None, (
        "each may be left out, but not all where methods compare"
    )
    with pytest.raises(ValidationError, match="mapping with at least one entry"):
        Comparisons.model_validate({"reference": "lora", "at": "common", "margins": {}, "draws": 100})
    field = Config.model_fields["probes"]
    probes = TypeAdapter(field.rebuild_annotation())
    assert probes.validate_python({"activations": {}}) == {"activations": {}}
    with pytest.raises(ValidationError, match="activations is missing"):
        probes.validate_python({"hubs": {}})


def test_an_option_of_a_methods_module_is_no_key_of_ours():
    method = Method.model_validate({"rank": 8, "sweep": {"learning_rate": [1e-3]}})
    assert method.model_extra == {"rank": 8} and method.uses is None and method.controls is None


def test_a_list_of_methods_that_are_probed_may_be_empty(folder):
    (folder / "overlay.yaml").write_text("probed_methods: []")
    study = load(["config.yaml", "overlay.yaml"])
    assert study.probed_methods == set() and study.probed("smollm2", "drift") == []
    assert len(study.stages("smollm2")) == 3 * 4, "all three are trained, through four domains"
