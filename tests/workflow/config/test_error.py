"""What is wrong with a config, as one line."""

import pytest

from implicit_sparsity.workflow.config.error import ConfigError, one_line, refuse_unknown, show, spell
from implicit_sparsity.workflow.config.load import load


def test_a_place_is_spelled_as_users_write_it():
    assert spell(("seeds", 1)) == "seeds[1]" and spell(("a", "b", 0, "c")) == "a.b[0].c"
    assert spell(()) == "(top level)" and spell((2,)) == "[2]"


def test_values_are_shown_as_yaml_has_them_on_one_line():
    shown = {"nothing": None, "true": True, "0": 0, "'a b'": "a b", "[]": [], "an empty mapping": {}}
    assert {words: show(value) for words, value in shown.items()} == {words: words for words in shown}
    assert show({"a": 1, 2: 3}) == "a mapping (a, 2)"
    assert show({"x" * 70: 1}) == f"a mapping ({'x' * 60})"
    assert show("x" * 100) == "'" + "x" * 79
    assert "\n" not in show(type("Odd", (), {"__repr__": lambda self: "a\nb"})())


def test_the_line_names_file_key_what_was_found_and_what_is_allowed():
    error = ConfigError(("training", "steps"), 0, "integer >= 1")
    assert str(error) == "training.steps: found 0, allowed: integer >= 1" and error.file is None
    named = error.in_file("mine.yaml")
    assert str(named) == f"mine.yaml: {error}" and named.path == ("training", "steps")


def test_an_unknown_name_is_told_with_those_that_are_known():
    refuse_unknown(("x",), "lora", ["lora"], "method")
    with pytest.raises(ConfigError) as error:
        refuse_unknown(("x",), "lroa", ["lora", "ewc"], "method")
    words = "found 'lroa', which is no method, allowed: ewc, lora; did you mean lora?"
    assert str(error.value) == f"x: {words}"
    with pytest.raises(ConfigError, match=r"allowed: none, there is no method$"):
        refuse_unknown(("x",), "lora", [], "method")


def test_a_wrong_wholeleaves_the_process_with_status_1(folder):
    with pytest.raises(SystemExit) as stop:
        one_line(load)(["config.yaml"], {"seeds": []})
    assert stop.value.code == "--config: seeds: found an empty list, allowed: list with at least one entry"


def test_what_is_right_comes_back_and_a_defect_keeps_its_traceback():
    assert one_line(max)([1, 3, 2], key=lambda x: -x) == 1
    with pytest.raises(ZeroDivisionError):
        one_line(divmod)(1, 0)
