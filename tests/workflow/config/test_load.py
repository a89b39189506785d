"""Which file a line names, which of several errors is told, and what several files make together."""

import pytest
import refusals
import yaml

from implicit_sparsity.workflow.config.error import ConfigError, spell
from implicit_sparsity.workflow.config.load import load


def test_a_value_of_the_command_line_is_named_as_such(folder):
    line = refusals.refused("config.yaml", command_line=["training={steps: -1}"])
    assert line == "--config: training.steps: found -1, allowed: integer >= 1"
    assert refusals.refused("config.yaml", command_line=["seeds=[1"]).startswith(
        "--config: seeds: found broken YAML ("
    )


def places(*files, command_line=()):
    """What is wrong with these files: (file without its line, place) of each error."""
    with pytest.raises(ConfigError) as error:
        load(files, command_line)
    return [(one.file.partition(":")[0], spell(one.path)) for one in error.value.errors]


def test_all_that_is_wrong_is_told_at_once_whatever_finds_it(folder):
    (folder / "overlay.yaml").write_text("""
training: {steps: 0, warmup: 010}
orders: {x: [nodomain, code, mathh]}
methods: {loar: {}, lora: {rnak: 3}}
figures: {overview: {typo: 1}}
optional: {mine: {seeds: [-1]}}
""")
    (folder / "later.yaml").write_text("claims: {h2a: {method: lroa}}\nprobes: {relearning: false}")
    assert sorted(places("config.yaml", "overlay.yaml", "later.yaml", command_line=["evals=3"])) == [
        ("--config", "evals"),
        ("later.yaml", "claims.h2a.method"),
        ("later.yaml", "probes.relearning"),
        ("overlay.yaml", "figures.overview.typo"),
        ("overlay.yaml", "methods.loar"),
        ("overlay.yaml", "methods.lora.rnak"),
        ("overlay.yaml", "orders.x[0]"),
        ("overlay.yaml", "orders.x[2]"),
        ("overlay.yaml", "training.steps"),
        ("overlay.yaml", "training.warmup"),
        ("overlay.yaml (optional.mine)", "seeds[0]"),
    ]


@pytest.mark.parametrize(
    ("overlay", "place"),
    [
        ("models: {x: {source: path, paht: y}}", "models.x.paht"),  # and no path, no layers, no width
        ("models: {x: {source: path}}", "models.x.path"),
        ("models: {Big: {source: path}}", "models.Big"),
        ("probed_methods: [lora, lora]", "probed_methods"),
        ("methods: {wide: {uses: lroa}}\nclaims: {h2a: {method: wide}}", "methods.wide.uses"),
        (
            "domains: {mine: {sources: {a: {loader: jsonnl, path: x}}}}\norders: {x: [mine]}",
            "domains.mine.sources.a.loader",
        ),
        ("probes: {relearning: {documents: [8, 9], batch_size: 4}}", "probes.relearning.documents"),
    ],
)
def test_what_follows_from_a_fault_is_not_told(folder, overlay, place):
    (folder / "overlay.yaml").write_text(overlay)
    assert places("config.yaml", "overlay.yaml") == [("overlay.yaml", place)]


def test_the_keys_that_a_mapping_lacks_are_one_line(folder):
    (folder / "overlay.yaml").write_text("models: {x: {source: path, path: y}}")
    line = refusals.refused("config.yaml", "overlay.yaml")
    assert line == "overlay.yaml: models.x.layers: found nothing, allowed: integer >= 1 (nor is there width)"


def test_of_many_lines_the_first_are_told_and_how_many_there_are(folder):
    names = [f"n{number:02}" for number in range(23)]
    (folder / "overlay.yaml").write_text("\n".join(f"{name}: 1" for name in names))
    with pytest.raises(ConfigError) as error:
        load(["config.yaml", "overlay.yaml"])
    told = str(error.value).splitlines()
    assert [line.split(": ")[1] for line in told[:-1]] == names[:20] and told[-1] == "and 3 more"


def test_what_is_put_aside_makes_no_faults_of_files_below(folder):
    """A broken source takes its domain along, and with it an order of this file: that of config.yaml is not
    the user's."""
    off = dict.fromkeys(("code", "math", "medical", "general", "knowledge"), False)
    fields = {"prompt": "q", "completion": "a"}
    own = {"loader": "jsonl", "path": "a.jsonl", "fields": fields, "licence": "MIT", "layout": "messages"}
    domains = off | {"a": {"sources": {"own": own}}, "b": {"sources": {"own": own | {"layout": "lines"}}}}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"domains": domains, "orders": {"forward": ["a", "b"]}}))
    (folder / "a.jsonl").touch()
    at = "domains.a.sources.own.fields"
    found = places("config.yaml", "mine.yaml")
    assert set(found) == {("mine.yaml", f"{at}.completion"), ("mine.yaml", f"{at}.prompt")}


def test_the_file_that_switched_a_name_off_is_named(folder):
    (folder / "overlay.yaml").write_text("domains: {code: false}")
    line = refusals.refused("config.yaml", "overlay.yaml")
    assert line.startswith(
        "overlay.yaml: domains.code: found false: orders.forward[0] is 'code', which is no domain"
    )


def test_the_last_file_that_says_it_is_named(folder):
    (folder / "overlay.yaml").write_text("training: {steps: 0}")
    (folder / "later.yaml").write_text("training: {clip: 2}")
    line = refusals.refused("config.yaml", "overlay.yaml", "later.yaml")
    assert line.startswith("overlay.yaml: training.steps: ")


def test_a_file_that_is_named_twice_counts_where_it_came_first(folder):
    """Snakemake gives config.yaml again after the files of --configfile."""
    (folder / "overlay.yaml").write_text("training: {steps: 7}")
    assert load(["config.yaml", "overlay.yaml", "config.yaml"]).config["training"]["steps"] == 7


def test_the_command_line_lies_on_top(folder):
    (folder / "overlay.yaml").write_text("training: {steps: 7, warmup: 1}")
    study = load(["config.yaml", "overlay.yaml"], ["training={steps: 9}", "seeds=[3]"])
    assert (study.config["training"]["steps"], study.config["training"]["warmup"]) == (9, 1)
    assert study.config["seeds"] == [3]


def test_a_part_that_nobody_asked_for_is_left_out_and_yet_checked(folder):
    (folder / "overlay.yaml").write_text("optional: {mine: {seeds: [5]}}")
    study = load(["config.yaml", "overlay.yaml"])
    assert study.config["seeds"] == [0] and not {"optional", "with"} & set(study.config)
    assert load(["config.yaml", "overlay.yaml"], ["with=mine"]).config["seeds"] == [5]
    (folder / "overlay.yaml").write_text("optional: {mine: {seeds: [-5]}}")
    line = refusals.refused("config.yaml", "overlay.yaml")
    assert line == "overlay.yaml (optional.mine): seeds[0]: found -5, allowed: integer >= 0"
