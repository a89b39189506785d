"""Rows of a user's table as records: columns, texts of columns, choices, and what a missing name becomes."""

import math

import pytest

from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import Dropped, check
from implicit_sparsity.errors import InputError

QA = {"prompt": "q", "completion": "a"}


def records(*rows, fields=QA, licence="MIT", **options):
    """In the order of the rows."""
    items = table(enumerate(rows, 1), "t", fields, licence, **options)
    items = [item if isinstance(item, Dropped) else check(item | {"source": "s"}) for item in items]
    return sorted(items, key=lambda item: (isinstance(item, dict), isinstance(item, dict) and item["id"]))


def refused(*rows, **options) -> str:
    with pytest.raises(InputError) as caught:
        records(*rows, **options)
    return str(caught.value)


def test_choices_by_text_index_letter_and_columns():
    rows = [{"q": f"{i}?", "c": {"text": ["x", "y"]}, "n": answer} for i, answer in enumerate([1, "B", "y"])]
    result = records(*rows, fields={"prompt": "q", "choices": "c.text", "answer": "n"})
    assert [(r["answer"], r["completion"], r["choices"]) for r in result] == [("y", "y", ["x", "y"])] * 3
    fields = {"prompt": "q", "choices": ["opa", "opb"], "answer": "cop"}
    row = {"q": "?", "opa": "left", "opb": "right"}
    assert records(row | {"cop": 0}, fields=fields)[0]["answer"] == "left"
    assert refused(row | {"cop": 2}, fields=fields) == "t:1: answer: index 2 of 2 choices"
    assert refused(row | {"cop": -1}, fields=fields) == "t:1: answer: index -1 of 2 choices"
    reported = refused(row | {"cop": True}, fields=fields)
    assert reported == "t:1: answer: must be a text or an index, found bool"
    assert refused(row | {"cop": "C"}, fields=fields) == "t:1: answer: index 2 of 2 choices"
    assert (
        refused(row | {"cop": "middle"}, fields=fields) == "t:1: answer: 'middle' is not one of the choices"
    )


def test_a_letter_that_is_a_choice_is_read_as_the_other_rows_are():
    fields = {"prompt": "q", "choices": "c", "answer": "n"}
    blood = {"q": "Who gives to all?", "c": ["B", "O", "A", "AB"], "n": "B"}
    letter = {"q": "?", "c": ["w", "x", "y", "z"], "n": "D"}
    assert [r["completion"] for r in records(blood, letter, fields=fields)] == ["O", "z"]
    assert [r["completion"] for r in records(blood, letter | {"n": "z"}, fields=fields)] == ["B", "z"]
    reported = "t:1: answer: 'B' is one of the choices, and the place of 'O'"
    assert refused(blood, fields=fields) == reported
    assert records(blood, fields=fields, on_bad="drop") == [Dropped("ambiguous answer")]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_value_is_as_if_its_column_were_not_named(missing):
    row = {"q": "?", "a": "x", "g": "g", "k": "k", "c": ["x", "y"], "n": 1}
    fields = QA | {"group": "g", "id": "k", "choices": "c", "answer": "n"}
    whole = records(row, fields=fields)[0]
    assert (whole["id"], whole["group"], whole["answer"]) == ("k", "g", "y")
    assert records(row | {"g": missing}, fields=fields)[0]["group"] == "k"
    assert records(row | {"k": missing}, fields=fields)[0]["id"] == "1"
    bare = records(row | {"c": missing}, fields=fields)[0]
    assert "choices" not in bare and "answer" not in bare and bare["completion"] == "x"
    for key, column in {"prompt": "q", "completion": "a"}.items():
        assert refused(row | {column: missing}, fields=fields) == f"t:1: {key}: is empty"
    without = {key: column for key, column in fields.items() if key != "completion"}
    assert refused(row | {"n": missing}, fields=without) == "t:1: answer: is empty"
    assert refused(row | {"c": missing}, fields=without) == "t:1: choices: is empty", "1 is no completion"


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_row_may_have_fewer_choices_than_others(missing):
    fields = {"prompt": "q", "choices": ["a", "b", "c"], "answer": "n"}
    row = {"q": "?", "a": "x", "b": missing, "c": 2.0, "n": "C"}
    assert records(row, fields=fields)[0]["choices"] == ["x", "2"]
    assert records(row, fields=fields)[0]["answer"] == "2"
    assert refused(row | {"n": 1}, fields=fields) == "t:1: answer: index 1 of 2 choices"
    assert refused(row | {"a": missing}, fields=fields) == "t:1: choices: needs two or more, found 1"
    assert refused(row | {"a": True}, fields=fields) == "t:1: choices: must be a text, found bool"


def test_conversations_are_prompt_and_completion():
    row = {"m": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a #### 7"}], "g": 3}
    found = records(row, fields={"messages": "m", "group": "g"}, answer_pattern="#### (.+)")[0]
    assert (found["prompt"], found["completion"], found["answer"]) == ("q", "a #### 7", "7")
    assert (found["id"], found["group"]) == ("1", "3")
    row["m"].pop()
    assert refused(row, fields={"messages": "m"}) == "t:1: messages: ends without an answer"


def test_a_row_may_lack_an_optional_column_that_another_has():
    fields = QA | {"group": "g", "choices": "c", "answer": "n", "id": "k"}
    row = {"q": "?", "a": "x", "g": "t", "c": ["x", "y"], "n": "A", "k": "i"}
    found = records(row, {"q": "??", "a": "z"}, fields=fields)
    got = {r["id"]: (r["group"], r.get("choices")) for r in found}
    assert got == {"i": ("t", ["x", "y"]), "2": ("2", None)}
    four = {"prompt": "q", "choices": ["a", "b", "c"], "answer": "n"}
    assert records({"q": "?", "a": "x", "b": "y", "n": "B"}, fields=four)[0]["answer"] == "y"
    missing = {key: row[key] for key in row if key != "g"}
    assert refused(missing, missing | {"k": "j"}, fields=fields) == (
        "t: fields.group: no row has the column 'g'"
    )


def test_the_first_column_of_messages_that_is_not_null_is_read():
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    names = {"messages": ("messages", "conversations", "conversation")}
    for row in ({"messages": None, "conversations": talk}, {"conversation": talk}, {"messages": talk}):
        assert records(row, fields=names)[0]["completion"] == "a"
    assert refused({"messages": None}, fields=names) == "t:1: messages: is empty"


def test_choices_may_be_the_same_for_all_rows():
    fields = QA | {"answer": "n"}
    result = records({"q": "?", "a": "so", "n": 2}, fields=fields, choices=("yes", "no", "maybe"))[0]
    assert (result["choices"], result["answer"]) == (["yes", "no", "maybe"], "maybe")
    assert result["completion"] == "so", "the answer is the completion only where none is named"


@pytest.mark.parametrize(
    ("given", "text"),
    [(3, "3"), (3.0, "3"), (-2.5, "-2.5"), (0.1, "0.1"), (1234567, "1234567"), ("7", "7")],
)
def test_answers_that_are_numbers_become_texts(given, text):
    result = records({"q": "?", "n": given}, fields={"prompt": "q", "answer": "n"})[0]
    assert result["answer"] == result["completion"] == text


def test_a_text_of_columns_has_lists_on_lines_and_nothing_of_an_empty_column():
    fields = QA | {"prompt": "{facts.lines}\nQuestion {n}: {q}"}
    row = {"facts": {"lines": ["one", "two"]}, "n": 7, "q": "why?", "a": "so"}
    assert records(row, fields=fields)[0]["prompt"] == "one\ntwo\nQuestion 7: why?"
    assert records(row | {"facts": {"lines": []}}, fields=fields)[0]["prompt"] == "Question 7: why?"
    for missing in (None, math.nan, [None, math.nan]):
        shown = records(row | {"facts": {"lines": missing}, "n": missing}, fields=fields)
        assert shown[0]["prompt"] == "Question : why?"
        nothing = {"facts": {"lines": missing}, "n": missing, "q": missing, "a": "so"}
        assert refused(nothing, fields=fields) == "t:1: prompt: is empty"
    assert refused(row | {"n": [{}]}, fields=fields) == "t:1: prompt: cannot put dict into a text"
    assert refused(row | {"n": True}, fields=fields) == "t:1: prompt: cannot put bool into a text"


def test_a_column_whose_name_has_a_dot_comes_before_a_path():
    row = {"a.b": "column", "a": {"b": "path"}}
    assert records(row, fields={"completion": "a.b"})[0]["completion"] == "column"
    assert records({"a": row["a"]}, fields={"completion": "a.b"})[0]["completion"] == "path"
    assert refused({"a": "text"}, fields={"completion": "a.b"}) == "t:1: completion: no column 'a.b'"


def test_what_is_not_named_comes_from_the_place_in_the_file():
    rows = {"a": "x", "key": 5, "topic": 8}, {"a": "y", "key": "k", "topic": "t"}
    plain = records(*rows, fields={"completion": "a"})
    assert [(r["id"], r["group"], r["prompt"]) for r in plain] == [("1", "1", ""), ("2", "2", "")]
    keyed = records(*rows, fields={"completion": "a", "id": "key"})
    assert [(r["id"], r["group"]) for r in keyed] == [("5", "5"), ("k", "k")]
    grouped = records(*rows, fields={"completion": "a", "group": "topic"})
    assert [(r["id"], r["group"]) for r in grouped] == [("1", "8"), ("2", "t")]
    message = "t:1: group: must be a text or a whole number, found bool"
    assert refused({"a": "x", "topic": True}, fields={"completion": "a", "group": "topic"}) == message


def test_the_answer_is_the_first_group_where_the_pattern_matches_last():
    rows = {"q": "?", "a": "#### 1 and then\n####  2 "}, {"q": "?", "a": "no number"}
    assert records(rows[0], answer_pattern="#### (.+)")[0]["answer"] == "2"
    assert records(rows[0], answer_pattern=r"(#+) +(\d)")[0]["answer"] == "####"
    message = "t:2: answer: answer_pattern is not in the completion"
    assert refused(*rows, answer_pattern="#### (.+)") == message
    dropped, retained = records(*rows, answer_pattern="#### (.+)", on_bad="drop")
    assert dropped == Dropped("missing field") and retained["answer"] == "2"


def test_rows_are_drawn_of_those_that_fit():
    rows = [{"q": "?", "a": "x" * (i % 2 * 30 + 1)} for i in range(20)]
    result = records(*rows, limit=3, max_chars=20)
    assert result[:10] == [Dropped("over max_chars")] * 10
    assert len(result) == 13 and all(int(r["id"]) % 2 == 1 for r in result[10:])
    other = records(*rows, limit=3, seed=1, max_chars=20)
    assert {r["id"] for r in other[10:]} != {r["id"] for r in result[10:]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": {"promt": "q", "completion": "a"}}, r"fields\.promt: no such field"),
        ({"fields": {"prompt": "q"}}, "fields: name the column of the completion, or of the answer"),
        ({"fields": ["q"]}, r"fields: must be a mapping of fields to columns, found \['q'\]"),
        (
            {"fields": {"prompt": True, "completion": "a"}},
            r"fields\.prompt: must be a column.* found true; in quotes",
        ),
        ({"fields": {"completion": None}}, r"fields\.completion: must be a column.* found null; in quotes"),
        (
            {"fields": {"completion": "a", "group": 3}},
            r"fields\.group: must be a column.* found 3; in quotes",
        ),
        ({"fields": {"completion": ["a"]}}, r"fields\.completion: must be a column"),
        (
            {"fields": {"answer": "a", "choices": ["a", False]}},
            r"fields\.choices: must be a column.* found false",
        ),
        (
            {"fields": {"prompt": "{q", "completion": "a"}},
            r"fields\.prompt: a text without a \{column\}: '\{q'",
        ),
        ({"fields": {"messages": "m", "prompt": "q"}}, r"fields\.prompt: comes from the messages"),
        ({"choices": [True, False]}, "choices: must be texts, found true; in quotes"),
        ({"choices": ["yes"]}, "choices: must be two texts or more"),
        ({"choices": ["a", "a"]}, "choices: has a text twice"),
        (
            {"fields": {"answer": "a", "choices": "c"}, "choices": ["a", "b"]},
            r"fields\.choices: either a column",
        ),
        ({"licence": None}, "licence: say under which licence the text is"),
        ({"answer_pattern": 7}, "answer_pattern: must be a text, found 7"),
        ({"licence": " "}, "licence: say under which licence the text is"),
        ({"answer_pattern": "("}, "answer_pattern: not a regular expression"),
        ({"answer_pattern": "#"}, "answer_pattern: needs a group in parentheses"),
        ({"choices": ["yes", "no", " Yes."]}, "choices: has a text twice"),
        ({"on_bad": "ignore"}, "on_bad: 'ignore' is not one of refuse, drop"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        records({"q": "?", "a": "x"}, **options)


def test_a_row_that_is_no_object_is_refused():
    assert refused({"q": "?", "a": "x"}, ["q", "a"]) == "t:2: a row is a JSON object, found list"
