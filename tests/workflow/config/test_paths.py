"""Files and folders that a config names, whatever their names are."""

from pathlib import Path

import pytest
import refusals
import yaml

from implicit_sparsity.workflow.config.load import load


def overlay(path):
    """An overlay with a file of one's own."""
    mine = {"loader": "jsonl", "path": path, "fields": {"prompt": "q", "completion": "a"}, "licence": "MIT"}
    return yaml.safe_dump({"domains": {"code": {"sources": {"mine": mine}}}}, allow_unicode=True)


NAMES = [
    "notes (1).jsonl",
    "a, b.jsonl",
    'it\'s "x".jsonl',
    "[x]*?.jsonl",
    "$HOME.jsonl",
    "\u00fc\u4e2d.jsonl",
    "%d;&.jsonl",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_have_any_other_name(folder, name):
    (folder / name).write_text("")
    Path("overlay.yaml").write_text(overlay(name))
    study = load(["config.yaml", "overlay.yaml"])
    assert study.source_files("code", "mine") == name
    assert study.source_options("code", "mine")["path"] == name


@pytest.mark.parametrize("path", ["./a.jsonl", "x/../a.jsonl", ".//a.jsonl"])
def test_a_path_with_dots_is_the_same_input(folder, path):
    (folder / "x").mkdir()
    (folder / "a.jsonl").write_text("")
    Path("overlay.yaml").write_text(overlay(path))
    assert load(["config.yaml", "overlay.yaml"]).source_files("code", "mine") == "a.jsonl"


WRONG = {  # path -> found, allowed
    "{x}.jsonl": ("'{x}.jsonl', of which Snakemake would take a part for a wildcard", "without { }"),
    "a{.jsonl": ("for a wildcard", "without { }"),
    "a\nb.jsonl": ("or a line", "line breaks"),
    "~/a.jsonl": ("'~/a.jsonl', which is no file", "with ~ and $NAME spelled out"),
    "$HOME/a.jsonl": ("which is no file", "with ~ and $NAME spelled out"),
    "none.jsonl": ("'none.jsonl', which is no file", "a file that exists"),
    "config.yaml/": ("which is no file", "a file that exists"),
    ".": ("which is no file", "a file that exists"),
    "": ("'', which is no file", "a file that exists"),
}


@pytest.mark.parametrize("path", WRONG)
def test_a_path_that_is_no_file_is_one_line(folder, path):
    for name in ("{x}.jsonl", "a{.jsonl", "a\nb.jsonl"):
        Path(name).write_text("")
    Path("overlay.yaml").write_text(overlay(path))
    line = refusals.refused("config.yaml", "overlay.yaml")
    refusals.check_line(line, "", ("domains.code.sources.mine.path", *WRONG[path]))


def test_a_model_s_folder_may_have_any_other_name(folder):
    for name, wrong in (("m {1}", True), ("m [1]*, x", False)):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}")
        model = {"source": "path", "path": f"./{name}", "layers": 2, "width": 64, "trained": False}
        Path("overlay.yaml").write_text(yaml.safe_dump({"models": {"mine": model}}))
        if wrong:
            assert "models.mine.path: found './m {1}', of which" in refusals.refused(
                "config.yaml", "overlay.yaml"
            )
        else:
            assert load(["config.yaml", "overlay.yaml"]).weights_on_disk("mine") == [f"{name}/config.json"]
    (folder / name / "config.json").unlink()
    assert "has no config.json" in refusals.refused("config.yaml", "overlay.yaml")
