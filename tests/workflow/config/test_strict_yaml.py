"""YAML as it looks: what is read, and what is refused with its place and line."""

import pytest
import yaml

from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.strict_yaml import parse

READ = {  # text -> value
    "[0, -3, +5, 12]": [0, -3, 5, 12],
    "[2e-3, 1E5, 1.5e+2, .5, 3.0, -0.25, 007.5]": [0.002, 100000.0, 150.0, 0.5, 3.0, -0.25, 7.5],
    "['2e-3', \"010\", '1:30', 'on', '2024-01-01']": ["2e-3", "010", "1:30", "on", "2024-01-01"],
    "[true, False, null, ~, '', text, 0o10, y, =]": [True, False, None, None, "", "text", "0o10", "y", "="],
    "[112345670123456701234567012345670123e567, 1e3x, 1.10.2]": [
        "112345670123456701234567012345670123e567",  # a commit
        "1e3x",
        "1.10.2",
    ],
    "{a: &base {x: 1, z: 2}, b: {<<: *base, z: 3}, c: [*base, *base]}": {
        "a": {"x": 1, "z": 2},
        "b": {"x": 1, "z": 3},
        "c": [{"x": 1, "z": 2}] * 2,
    },
    "{a: {<<: [{x: 1}, {x: 2, y: 3}]}}": {"a": {"x": 1, "y": 3}},
    "a: |\n  two\n  lines\n": {"a": "two\nlines\n"},
    "": None,
    "[]": [],
    "!!str 010": "010",
}


@pytest.mark.parametrize("text", READ)
def test_what_looks_like_a_value_is_one(text):
    content, errors = parse(text, "mine.yaml")
    assert errors == [] and content == READ[text]
    assert repr(content) == repr(READ[text]), "types, too"


WRONG = {  # text -> place, what is said of it
    "a: 010": ("a", "010, which YAML reads as 8"),
    "a: 00": ("a", "00, which YAML reads as 0"),
    "a: 1:30": ("a", "1:30, which YAML reads as 90"),
    "a: 0x10": ("a", "0x10, which YAML reads as 16"),
    "a: 1_000": ("a", "1_000, which YAML reads as 1000"),
    "a: 0b1": ("a", "0b1, which YAML reads as 1"),
    "a: !!int '010'": ("a", "010, which YAML reads as 8"),
    "a: 1:30.5": ("a", "1:30.5, which YAML reads as 90.5"),
    "a: 1_0.5": ("a", "1_0.5, which YAML reads as 10.5"),
    "a: .inf": ("a", ".inf, allowed: a finite number"),
    "a: -.INF": ("a", "-.INF, allowed: a finite number"),
    "a: .NaN": ("a", ".NaN, allowed: a finite number"),
    "a: 1e999": ("a", "1e999, which is infinity to a computer"),
    "a: 1e-400": ("a", "1e-400, which is 0 to a computer"),
    "a: 9223372036854775808": ("a", "9223372036854775808, allowed: a number below 2^63"),
    f"a: {'9' * 5000}": ("a", "9" * 80 + ", allowed: a number below 2^63"),
    "a: yes": ("a", "yes, which YAML reads as true"),
    "a: [{b: Off}]": ("a[0].b", "Off, which YAML reads as false"),
    "a: 2024-01-01": ("a", "2024-01-01, which YAML reads as a date"),
    "a: 2024-13-40": ("a", "2024-13-40, which YAML reads as a date"),
    "on: 1": ("(top level)", "the key on, which YAML does not read as text"),
    "{a: {1: 2}}": ("a", "the key 1, which YAML does not read as text"),
    "? [a, b]\n: 3": ("(top level)", "the key of several values"),
    "a: 1\na: 1": ("a", "a second entry of this name"),
    "a: [{b: 1, b: 2}]": ("a[0].b", "a second entry of this name"),
    "a: &x [1, *x]": ("a[1]", "an alias of what it stands in"),
    "a: &x {<<: *x}": ("a", "an alias of what it stands in"),
    "a: {<<: 3}": ("a.<<", "no mapping"),
    "a: !!python/object:os.system x": ("a", "the tag tag:yaml.org,2002:python/object:os.system"),
    "a: !!python/object/apply:os.system [ls]": (
        "a",
        "the tag tag:yaml.org,2002:python/object/apply:os.system",
    ),
    "a: !!set {b, c}": ("a", "the tag tag:yaml.org,2002:set"),
    "a: !!binary aGk=": ("a", "the tag tag:yaml.org,2002:binary"),
}


@pytest.mark.parametrize("text", WRONG, ids=[text[:30] for text in WRONG])
def test_what_yaml_reads_otherwise_is_refused_at_its_place(text):
    place, found = WRONG[text]
    content, (error,) = parse(text, "mine.yaml")
    line = 2 if text.startswith("a: 1\n") else 1
    assert str(error).startswith(f"mine.yaml:{line}: {place}: found {found}")
    assert yaml.safe_dump(content), "the rest is plain values"


def test_all_that_is_wrong_comes_at_once_and_a_list_goes_as_a_whole():
    content, errors = parse("a: [1, 010, 1:30]\nb: {c: on, d: 1}\n", "mine.yaml")
    assert content == {"b": {"d": 1}}
    assert [error.path for error in errors] == [("a", 1), ("a", 2), ("b", "c")]


def aliases(lines, times):
    """Lists of which each has the one before, so many times."""
    rest = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * times)}]\n" for n in range(1, lines))
    return "a0: &a0 [1]\n" + "".join(rest)


BROKEN = {  # text -> what is said of the whole
    "a: [": "broken YAML",
    "a: *b": "broken YAML (found undefined alias)",
    "a: @user": "broken YAML",
    "a: 1\n---\nb: 2": "a second document (---)",
    "a: " + "[" * 3000 + "]" * 3000: "more than 50 levels",
    "a: " + "[" * 300_000: "more than 50 levels",
    "a: " + "{b: " * 3000 + "1" + "}" * 3000: "more than 50 levels",
    "a0: &a0 [1]\n"
    + "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 12)): "aliases that stand",
    "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 70)): "aliases that stand",
}


@pytest.mark.parametrize("text", BROKEN, ids=BROKEN.values())
def test_what_cannot_be_read_at_all_is_an_error(text):
    with pytest.raises(ConfigError) as error:
        parse(text, "mine.yaml")
    assert f"found {BROKEN[text]}" in str(error.value) and str(error.value).startswith("mine.yaml:")


def test_of_the_command_line_there_are_no_lines():
    (error,) = parse("010", "--config", lines=False)[1]
    assert error.file == "--config"
