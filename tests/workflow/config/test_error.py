"""What is wrong with a config, as one line."""

import pytest

from implicit_sparsity.workflow.config.error import (
    ConfigError,
    ConfigErrors,
    Errors,
    follows,
    one_line,
    refuse_unknown,
    show,
    spell,
)
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
    named = error.at(("training", "steps"), "mine.yaml")
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
        one_line(load)(["config.yaml"], ["seeds=[]"])
    assert stop.value.code == "--config: seeds: found an empty list, allowed: list with at least one entry"


def test_what_is_right_comes_back_and_a_defect_keeps_its_traceback():
    assert one_line(max)([1, 3, 2], key=lambda x: -x) == 1
    with pytest.raises(ZeroDivisionError):
        one_line(divmod)(1, 0)


def test_what_blocks_raise_is_raised_together():
    errors = Errors()
    with errors:
        raise ConfigError(("a",), 1, "2")
    with pytest.raises(ConfigError) as one:
        errors.refuse()
    assert one.value.errors == [one.value] and str(one.value) == "a: found 1, allowed: 2"
    with errors:
        refuse_unknown(("b",), "x", ["y"], "letter")
    with errors:
        raise ConfigErrors([ConfigError(("c",), 1, "2"), ConfigError(("c",), 1, "2")])
    with pytest.raises(ConfigError) as several:
        errors.refuse()
    assert [error.path for error in several.value.errors] == [("a",), ("b",), ("c",), ("c",)]
    assert [line[:1] for line in str(several.value).splitlines()] == ["a", "b", "c"], "equal lines once"
    Errors().refuse()
    with pytest.raises(ZeroDivisionError), Errors():
        divmod(1, 0)


def test_what_is_wrong_in_one_mapping_is_one_line():
    errors = [ConfigError(path, 1, 2, "a.yaml:3") for path in (("m", "x"), ("m", "y"), ("n",), ("o",))]
    errors += [ConfigError(("m", "z"), 1, 2, "b.yaml"), ConfigError(("m", "z"), 1, 2, "a.yaml")]
    assert str(ConfigErrors(errors)).splitlines() == [
        "a.yaml:3: m.x: found 1, allowed: 2; and m.y: found 1, allowed: 2; and m.z: found 1, allowed: 2",
        "a.yaml:3: n: found 1, allowed: 2",
        "a.yaml:3: o: found 1, allowed: 2",
        "b.yaml: m.z: found 1, allowed: 2",
    ]


def test_what_follows_from_an_earlier_error():
    def at(*path, found="x", file="a.yaml"):
        return ConfigError(path, found, "y", file)

    earlier = [at("training", "steps"), at("domains", "mine", "sources", "s")]
    assert follows(at("training", "steps"), earlier) and follows(at("training"), earlier)
    assert follows(at("training", "steps", "x", file="other.yaml"), earlier), "an overlay lies over it"
    assert not follows(at("training", "warmup"), earlier) and not follows(at("seeds"), earlier)
    assert follows(at("training", "warmup", found="nothing"), earlier), "it went with the mapping"
    assert follows(at("seeds", found="nothing"), [at("seeds", 0)])
    assert not follows(at("seeds"), [at()])
    assert follows(at("seeds", found="nothing"), earlier), "a broken file lacks much"
    assert not follows(at("seeds", found="nothing", file="b.yaml"), earlier)
    assert not follows(at("training", "steps", file="a.yaml (optional.part)"), earlier)
    assert follows(at("orders", "x", 0, found="'mine', which is no domain"), earlier)
    assert not follows(at("orders", "x", 0, found="'other', which is no domain"), earlier)
