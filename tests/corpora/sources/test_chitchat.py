"""One turn of a conversation after those before it: what is context, who speaks, what fits."""

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources.chitchat import _record

LONG = "long enough to be a completion"


def record(turns_said, seed=0, turns=3, min_chars=20, max_chars=None):
    messages = [[{"text": text} for text in turn] for turn in turns_said]
    return _record("c1", messages, seed, turns, min_chars, max_chars)


def test_speakers_alternate_and_each_message_is_a_line():
    made = record([[" Hello", "how are you? "], ["fine"], [LONG]])
    assert made["prompt"] == "A: Hello\nhow are you?\nB: fine" and made["completion"] == LONG
    assert (made["id"], made["group"], made["licence"]) == ("c1", "c1", "MIT")


def test_the_context_has_so_many_turns_and_the_first_of_them_is_a():
    messages = [["one"], ["two"], ["three"], ["four"], [LONG]]
    assert record(messages)["prompt"] == "A: two\nB: three\nA: four"
    assert record(messages, turns=1)["prompt"] == "A: four"
    assert record(messages, turns=9)["prompt"] == "A: one\nB: two\nA: three\nB: four"


def test_turns_that_do_not_fit_are_passed_over():
    nothing = Dropped("no turn of a fitting length")
    assert record([[LONG]]) == nothing, "the first turn answers none"
    assert record([["hi"], ["short"]]) == nothing and record([]) == nothing
    assert record([["hi"], [LONG]], max_chars=30) == nothing
    assert record([["hi"], [" "], [LONG]]) == nothing, "what the context lacks is no conversation"
    assert record([["hi"], [" "], ["so"], [LONG]], turns=1)["prompt"] == "A: so"


def test_each_fitting_turn_is_drawn_by_some_seed_and_always_the_same_by_one():
    messages = [["hi"], *([f"{LONG} {i}"] for i in range(4))]
    drawn = [record(messages, seed)["completion"] for seed in range(60)]
    assert drawn == [record(messages, seed)["completion"] for seed in range(60)]
    assert {text[-1] for text in drawn} == set("0123")
