"""Fields of a source: what a layout adds to them, and which columns of a table they need."""

import pytest

from implicit_sparsity.corpora.fields import columns, named
from implicit_sparsity.errors import InputError

NAMES = ["q", "a", "a.b", "c", "twice", "twice"]


def test_a_layout_of_messages_needs_no_fields():
    assert named(None, "messages") == {"messages": ("messages", "conversations", "conversation")}
    assert named({"messages": "chat", "group": "g"}, "messages") == {"messages": "chat", "group": "g"}
    assert named({"completion": "a"}, "lines") == {"completion": "a"}
    with pytest.raises(InputError, match=r"^fields: name the columns"):
        named(None, "lines")
    with pytest.raises(InputError, match=r"^layout: 'mapping' is not one of lines, messages$"):
        named({"completion": "a"}, "mapping", ("lines", "messages"))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"prompt": "q", "completion": "a"}, ["q", "a"]),
        ({"prompt": "{q}\n{c.d}", "completion": "a.b"}, ["q", "c.d", "a.b"]),
        ({"choices": ["q", "a"], "answer": "c"}, ["q", "a", "c"]),
        ({"messages": ("messages", "c")}, ["c"]),
    ],
)
def test_columns_that_are_needed(fields, wanted):
    assert list(columns(fields, NAMES, "t")) == wanted


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "{q} {z}"}, "t: fields.prompt: has no column 'z' (it has: q, a, a.b, c, twice, twice)"),
        ({"messages": ("messages", "conversations")}, "t: fields.messages: has no column 'messages'"),
        ({"answer": "twice"}, "t: fields.answer: has the column 'twice' 2 times"),
    ],
)
def test_columns_that_a_table_has_not_once(fields, words):
    with pytest.raises(InputError) as caught:
        list(columns(fields, NAMES, "t"))
    assert str(caught.value).startswith(words)
