"""A config file as plain values, and what YAML readers pass over in silence."""

import pytest
import refusals
import yaml

from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.files import plain, read_strictly

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "training: {learning_rate: .nan}": ("training.learning_rate", "nan", "a finite number"),
    "training: {steps: 5}\ntraining: {steps: 6}": ("training", "second entry", "one"),
    "methods: {lora: {rank: 4, rank: 8}}": ("methods.lora.rank", "second entry", "one"),
    "orders: {on: [code]}": ("orders", "the key on", "text (in quotes)"),
    "seeds: &all [1, *all]": ("seeds[1]", "an alias of what it stands in", "values"),
    "1: {steps: 5}": ("(top level)", "the key 1", "text (in quotes)"),
    "seeds: [{a: 1, a: 2}]": ("seeds[0].a", "second entry", "one"),
    "evals: {documents: 2024-13-40}": ("(top level)", "a value that cannot be read", "YAML"),
    "training: {clip: 1e999}": ("training.clip", "inf", "a finite number"),
}

BASE = {  # config.yaml -> what its line says
    b"training: {steps: 5\n": "config.yaml:2: (top level): found broken YAML",
    b"a:\n\tb: 1": "config.yaml:2: (top level): found broken YAML",
    b"\xff\xfe\xfa": "(top level): found broken YAML",
    b"- models": "config.yaml: (top level): found ['models'], allowed: a mapping",
    b"": "config.yaml: (top level): found nothing, allowed: a mapping",
    b"seeds: [0]": "config.yaml: models: found nothing, allowed: mapping with at least one entry",
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


@pytest.mark.parametrize(("content", "expected"), BASE.items())
def test_wrong_base_file_is_one_line(folder, content, expected):
    (folder / "config.yaml").write_bytes(content)
    assert expected in refusals.refused("config.yaml")


def test_a_file_that_is_not_there_is_one_line(folder):
    line = refusals.refused("config.yaml", "none.yaml")
    assert line == "none.yaml: (top level): found no such file or directory, allowed: a readable file"


def test_a_file_is_read_as_yaml_reads_it(folder):
    text = "a: &base {x: 1}\nb: {<<: *base, y: 2e-3}\nc: [*base, *base]\n'on': off\n"
    (folder / "file.yaml").write_text(text)
    content = read_strictly("file.yaml")
    assert content == yaml.safe_load(text)
    assert content["b"] == {"x": 1, "y": "2e-3"} and content["c"] == [{"x": 1}] * 2 and content["on"] is False


def test_equal_meaning_is_one_value():
    given = {"b": [3.0, "2e-3", "-1.5E+2", True], "a": {"z": 0.5, "y": (1, None)}, "t": "1e3x", "n": "3"}
    result = plain(given)
    assert result == {"a": {"y": [1, None], "z": 0.5}, "b": [3, 0.002, -150, True], "n": "3", "t": "1e3x"}
    assert list(result) == ["a", "b", "n", "t"] and list(result["a"]) == ["y", "z"]
    assert [type(value) for value in result["b"]] == [int, float, int, bool]


def test_values_of_the_command_line_are_text_that_yaml_reads():
    given = {"training": {"steps": "3", "clip": "1e-3"}, "seeds": "[0, 1]", "with": "ladder", "none": " "}
    expected = {"training": {"steps": 3, "clip": 0.001}, "seeds": [0, 1], "with": "ladder", "none": " "}
    assert plain(given, typed=False) == expected
    with pytest.raises(ConfigError) as error:
        plain({"a": ["x", "{y"]}, file="--config", typed=False)
    assert error.value.path == ("a", 1) and str(error.value).startswith("--config: a[1]: found broken YAML (")
