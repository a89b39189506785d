"""What rules ask of a study: checkpoints, patterns of what a hub has, files, tables."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from implicit_sparsity.workflow import tables
from implicit_sparsity.workflow.config.load import load

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
HUB = {"source": "hub", "repo": "a/b", "revision": REVISION, "layers": 2, "width": 2000}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study of config.yaml with an overlay, in a folder of its own."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)

    def get(**overlay):
        Path("overlay.yaml").write_text(yaml.safe_dump(overlay))
        return load(["config.yaml", "overlay.yaml"])

    return get


def test_the_config_that_was_said_stays_as_it_was(study):
    result = study(models={"smollm2": {"trained": True}})
    assert result.given["models"]["smollm2"]["trained"] is True and "controls" in result.given
    assert "trained" not in result.config["models"]["smollm2"], "it says nothing about how a model is made"
    assert list(result.config) == [key for key in result.given if key not in ("controls", "probed_methods")]


def test_keys_are_sorted_and_numbers_of_one_meaning_are_one_value(study):
    result = study(training={"learning_rate": "2e-3", "clip": 3.0})
    assert list(result.given) == sorted(result.given)
    assert result.config["training"]["learning_rate"] == 0.002
    assert isinstance(result.config["training"]["clip"], int)


def test_what_a_hub_has_is_a_pattern(study):
    assert re.fullmatch(study().hub_models(), "smollm2") is None
    source = {
        "loader": "hub",
        "repo": "a/b",
        "revision": REVISION,
        "limit": 5,
        "fields": {"completion": "a"},
        "licence": "MIT",
    }
    result = study(models={"big": HUB}, domains={"code": {"sources": {"rows": source}}})
    assert re.fullmatch(result.hub_models(), "big") and not re.fullmatch(result.hub_models(), "smollm2")
    assert re.search(result.hub_sources(), "results/corpora/code/sources/rows.jsonl")
    assert not re.search(result.hub_sources(), "results/corpora/math/sources/rows.jsonl")
    assert result.loader("code", "rows") == "hub"
    assert result.source_options("code", "human_eval") == {
        "loader": "human_eval",
        "seed": 0,
        "limit": 164,
        "max_chars": 400,
    }


def test_files_of_a_study_are_inputs(study):
    Path("mine").mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors", "README.md"):
        Path("mine", name).write_text("{}")
    Path("rows.jsonl").write_text("")
    rows = {
        "loader": "jsonl",
        "limit": 5,
        "path": "rows.jsonl",
        "fields": {"completion": "a"},
        "licence": "MIT",
    }
    model = {"source": "path", "path": "mine", "layers": 2, "width": 2000}
    result = study(models={"mine": model}, domains={"code": {"sources": {"rows": rows}}})
    names = ("config.json", "model.safetensors", "tokenizer.json")
    assert result.weights_on_disk("mine") == [f"mine/{name}" for name in names]
    assert result.weights_on_disk("smollm2") == []
    assert result.source_files("code", "rows") == "rows.jsonl"
    assert result.source_files("code", "human_eval") == []
    assert not result.from_scratch("mine")


def test_checkpoints_that_are_probed(study):
    probes = {"activations": {"stages": "final"}, "drift": {"methods": []}}
    result = study(probes=probes, seeds=[0, 1])
    assert result.probed("smollm2", "gradients") == ["base"]
    assert len(result.probed("smollm2", "activations")) == 1 + 3 * 2
    assert all(".stage4" in name for name in result.probed("smollm2", "activations")[1:])
    assert result.probed("smollm2", "drift") == result.probed("smollm2", "activations")[1:]
    assert len(result.stages("smollm2", methods=["lora"])) == 2 * 4


def test_what_is_taught_again_is_what_has_something_old(study):
    """The second stage is the first with an old domain; base goes with those that are compared with it."""
    entry = {"methods": {"swept": {"uses": "lora", "sweep": {"rank": [2, 4]}}}}

    def probed(**more):
        options = {"stages": "all", "methods": ["lora", "swept"]} | more.pop("options", {})
        return study(**entry, **more, probes={"relearning": options}).probed("smollm2", "relearning")

    default = probed()
    assert default[0] == "base" and len(default) == 1 + 3 * 3
    assert {name.split(".")[0] for name in default[1:]} == {"lora", "swept_rank_2", "swept_rank_4"}
    assert {name.rpartition(".")[2] for name in default[1:]} == {"stage2", "stage3", "stage4"}
    everything = probed(options={"methods": []})
    assert len(everything) == 1 + 5 * 3 and set(default) < set(everything)
    assert len(probed(options={"methods": []}, probed_methods=["orthogonal"])) == 1 + 3
    assert probed(options={"stages": "base"}) == [], "no checkpoint is compared with it"
    assert probed(orders={"forward": ["code"]}) == [], "an order of one domain has nothing old"


def test_a_reference_set_is_a_domain_that_few_measurements_take(study):
    sources = {"rows": {"loader": "chitchat", "limit": 40}}
    without = study(domains={"apart": {"sources": sources}}, reference=False)
    result = study(domains={"apart": {"sources": sources}}, reference="apart")
    assert without.reference == "" and without.compared == without.domains
    assert result.domains == without.domains and result.reference == "apart"
    assert result.compared == [domain for domain in result.domains if domain != "apart"]
    taking = {name for name in result.measures if "apart" in result.domains_measured(name)}
    assert {"drift"} <= taking and not {"activations", "gradients", "thresholds", "plasticity_task"} & taking
    assert taking == {name for name in result.measures if result.reference_read(name) == "apart"}
    assert without.reference_read("drift") == ""
    assert without.domains_measured("drift") == without.domains == result.domains_measured("drift")


def test_a_figure_of_one_domain_is_of_the_reference_set_unless_it_names_another(study):
    sources = {"domains": {"apart": {"sources": {"rows": {"loader": "chitchat"}}}}, "reference": "apart"}
    other = study(**sources, figures={"drift_by_layer": {"domain": ""}})
    assert other.config["figures"]["drift_by_layer"] == {}, "the mean of all, the default of its own"
    figures = {"hubs": {"k": 0.1}, "drift_by_layer": {"reference": "base"}}
    drawn = tables.of_reference(figures, "apart")
    assert drawn == {"hubs": {"k": 0.1}, "drift_by_layer": {"domain": "apart", "reference": "base"}}
    assert tables.of_reference(figures, "") == figures


def test_tables_of_figures_and_claims_are_made(study):
    result = study()
    assert {"scores", "hubs", "activation_overlap"} <= set(result.tables)
    assert set(result.claimed_tables) < set(result.tables)
    assert result.figure_tables("hubs") and set(result.figure_tables("overview")) <= set(result.tables)
