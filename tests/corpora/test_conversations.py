"""Conversations as documents: the last answer is the completion, what came before the prompt."""

import pytest

from implicit_sparsity.corpora.bad import BadRecord
from implicit_sparsity.corpora.conversations import prompt_and_completion


def turns(*pairs, by="role", holds="content") -> list[dict]:
    return [{by: role, holds: text} for role, text in pairs]


U, A = ("user", "hi"), ("assistant", "yo")


@pytest.mark.parametrize(
    ("messages", "prompt", "completion"),
    [
        (turns(("user", "hi"), ("assistant", " yo\n")), "hi", " yo\n"),
        (turns(("system", "Be kind."), ("user", "hi"), ("assistant", "yo")), "Be kind.\n\nhi", "yo"),
        (turns(("developer", "Be kind."), ("user", "hi"), ("assistant", "yo")), "Be kind.\n\nhi", "yo"),
        (turns(("System", "Be kind."), ("User", "hi"), ("Assistant", "yo")), "Be kind.\n\nhi", "yo"),
        (turns(("Human", "hi"), ("model", "yo")), "hi", "yo"),
        (turns(("user", "hi"), ("chatgpt", "yo"), ("USER", "so?"), ("bard", "no")), "hi\n\nyo\n\nso?", "no"),
        (turns(("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), A), "ab", "yo"),
        (turns(("system", ""), ("user", "hi"), ("assistant", "yo")), "hi", "yo"),
        (
            turns(("human", "a"), ("gpt", "b"), ("human", "c\nd"), ("gpt", "e"), by="from", holds="value"),
            "a\n\nb\n\nc\nd",
            "e",
        ),
        (
            [
                {"role": "user", "content": "hi", "name": "x"},
                {"role": "assistant", "content": "yo", "tool_calls": None},
            ],
            "hi",
            "yo",
        ),
    ],
)
def test_the_last_answer_is_the_completion(messages, prompt, completion):
    assert prompt_and_completion(messages) == (prompt, completion)


S, CALL = ("system", "x"), {"role": "assistant", "content": "yo", "tool_calls": [{}]}
PARTS = [{"type": "text", "text": "yo"}, {"type": "image_url", "image_url": {"url": "x"}}]
OUT_OF_ORDER = (
    (U, U, A),
    (A,),
    (A, U, A),
    (U,),
    (U, A, U),
    (U, A, A),
    (),
    (S,),
    (S, A),
    (U, S, A),
    (S, S, U, A),
)
BAD = {
    "turns out of order": [turns(*pairs) for pairs in OUT_OF_ORDER],
    "empty text": [
        turns(U, ("assistant", " ")),
        turns(("user", ""), A),
        turns(U, ("assistant", None)),
        [{"role": "user"}, *turns(A)],
    ],
    "unknown role": [
        turns(U, ("tool", "x"), A),
        turns(U, ("function", "x"), A),
        turns(("bot", "x"), A),
        turns((1, "x"), A),
        [*turns(U), CALL],
    ],
    "wrong type": [
        None,
        "hi",
        {},
        [U, A],
        ["hi"],
        turns(U, ("assistant", PARTS)),
        turns(U, ("assistant", [])),
        turns(("user", 3), A),
    ],
    "missing field": [[{"content": "hi"}], [{"speaker": "user", "text": "hi"}]],
}


@pytest.mark.parametrize(("reason", "messages"), [(reason, bad) for reason in BAD for bad in BAD[reason]])
def test_what_is_no_such_conversation_is_a_bad_row(reason, messages):
    with pytest.raises(BadRecord) as caught:
        prompt_and_completion(messages)
    assert (caught.value.reason, caught.value.key) == (reason, "messages")
