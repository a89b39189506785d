"""Config files and the values of --config as plain values, and what is wrong with them as files."""

import os

import pytest
import refusals

from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.files import LARGEST, plain, read, read_command_line

WRONG = {  # content of a file -> what its line says
    b"training: {steps: 5\n": "mine.yaml:2: (top level): found broken YAML",
    b"a:\n\tb: 1": "mine.yaml:2: (top level): found broken YAML",
    b"# caf\xe9\nseeds: [0]": "mine.yaml:1: (top level): found text in another encoding than UTF-8 (byte",
    "seeds: [0]".encode("utf-16"): "another encoding than UTF-8 (byte 0xff), allowed: UTF-8",
    b"a: 1\nb: \xff": "mine.yaml:2: ",
    b"- models": "mine.yaml: (top level): found ['models'], allowed: a mapping",
    b"text": "found 'text', allowed: a mapping",
    b"": "mine.yaml: (top level): found nothing, allowed: a mapping",
    b"# nothing": "mine.yaml: (top level): found nothing, allowed: a mapping",
    b" " * (LARGEST + 1): f"found a file of {LARGEST + 1} bytes, allowed: at most {LARGEST}",
    b"seeds: [\0]": "found broken YAML",
    b"seeds: [0]\nseeds: [1]": "mine.yaml:2: seeds: found a second entry of this name, allowed: one",
}


@pytest.mark.parametrize("content", WRONG, ids=range(len(WRONG)))
def test_a_wrong_file_is_one_line(folder, content):
    (folder / "mine.yaml").write_bytes(content)
    assert WRONG[content] in refusals.refused("config.yaml", "mine.yaml")


def test_what_is_no_file_is_one_line(folder):
    def told(name="mine.yaml"):
        return refusals.refused("config.yaml", name)

    none = "found no such file or directory, allowed: a readable file"
    assert told() == f"mine.yaml: (top level): {none}"
    assert told("mine.yaml/x/y") == f"mine.yaml/x/y: (top level): {none}"
    (folder / "mine.yaml").mkdir()
    assert told() == "mine.yaml: (top level): found a directory, allowed: a readable file"
    (folder / "mine.yaml").rmdir()
    os.mkfifo("mine.yaml")
    assert told().startswith("mine.yaml: (top level): found no regular file, ")
    assert "found embedded null byte" in told("a\0b")
    (folder / "config.yaml").unlink()
    assert refusals.refused("config.yaml") == f"config.yaml: (top level): {none}"


def test_every_file_that_cannot_be_read_is_told(folder):
    (folder / "mine.yaml").write_text("[")
    with pytest.raises(ConfigError) as error:
        refusals.load(["config.yaml", "mine.yaml", "none.yaml"])
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["mine.yaml", "none.yaml"]


def test_what_is_wrong_is_left_out_and_the_rest_is_read(folder):
    (folder / "mine.yaml").write_text("a: {b: 010, c: 1}\nd: [1, 1:30]\ne: 2\n")
    content, errors = read("mine.yaml")
    assert content == {"a": {"c": 1}, "e": 2}
    assert [(error.path, error.file) for error in errors] == [
        (("a", "b"), "mine.yaml:1"),
        (("d", 1), "mine.yaml:2"),
    ]


def test_a_byte_order_mark_is_no_text(folder):
    (folder / "mine.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read("mine.yaml") == ({"a": 1, "b": 2}, [])


def test_equal_meaning_is_one_value():
    given = {"b": [3.0, True, 1e30], "a": {"z": 0.5, "y": (1, None)}, "t": "1e3", "n": "3"}
    result = plain(given)
    assert result == {"a": {"y": [1, None], "z": 0.5}, "b": [3, True, 1e30], "n": "3", "t": "1e3"}
    assert list(result) == ["a", "b", "n", "t"] and list(result["a"]) == ["y", "z"]
    assert [type(value) for value in result["b"]] == [int, bool, float]


def test_values_of_the_command_line_are_yaml_as_it_was_written():
    given = ["training={steps: 3, clip: 1e-3}", "seeds=[0, 1]", "with=ladder", "none="]
    given += ["training={warmup: 1}", 'text={before: "@user ", number: "3"}', "a=b=c"]
    content, errors = read_command_line(given)
    assert errors == [] and content == {
        "training": {"steps": 3, "clip": 0.001, "warmup": 1},
        "seeds": [0, 1],
        "with": "ladder",
        "none": None,
        "text": {"before": "@user ", "number": "3"},
        "a": "b=c",
    }
    assert read_command_line(None) == ({}, [])


def test_every_wrong_value_of_the_command_line_is_a_line():
    given = ["seeds=[0", "a=1", "controls=yes", "b={c: [010]}", "seeds", "1x=3", "=3", "d=---\n---", "a\n=3"]
    content, errors = read_command_line(given)
    assert content == {"a": 1, "b": {}}
    assert [str(error).partition(", allowed: ")[0] for error in errors] == [
        "--config: seeds: found broken YAML (did not find expected ',' or ']')",
        "--config: controls: found yes, which YAML reads as true",
        "--config: b.c[0]: found 010, which YAML reads as 8",
        "--config: (top level): found 'seeds'",
        "--config: (top level): found '1x=3'",
        "--config: (top level): found '=3'",
        "--config: d: found a second document (---)",
        "--config: (top level): found 'a\\n=3'",
    ]
