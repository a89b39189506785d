"""Where an answer ends whose end is several tokens: at all of them, however they were written."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from implicit_sparsity.corpora.tokens import Document, Tokens
from implicit_sparsity.models import forward, loading
from implicit_sparsity.passes import ending, evaluation, scoring


@pytest.fixture(scope="module")
def tokenizer(nano):
    return evaluation.tokenizer_of(nano("dense")[0])


@pytest.fixture(scope="module")
def control(nano):
    return Tokens(nano("dense")[1]["math"]).index["special_ids"]


@pytest.fixture
def encode(tokenizer):
    return lambda text: np.array(tokenizer.encode(text, add_special_tokens=False).ids, np.int64)


def letters(tokenizer, text):
    names = {" ": "\u0120", "\n": "\u010a"}
    return np.array([tokenizer.token_to_id(names.get(c, c)) for c in text], np.int64)


END = "\n### End"


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        (f"two\n#### 18{END}", "two\n#### 18"),  # the first token of the end stands in the answer as well
        (f"18{END} and more{END}", "18"),
        (END, ""),
        (f"18\n{END}", "18\n"),
        ("18\n### En", None),
        ("18", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("write", ["encode", "letters"])
def test_an_answer_ends_where_all_of_the_end_stands(tokenizer, control, encode, written, answer, write):
    stop = ending.of_template(encode(END).tolist(), tokenizer, control)
    assert len(stop.ids) > 2 and tokenizer.decode([stop]) == tokenizer.decode(stop.ids[:1])
    ids = encode(written) if write == "encode" else letters(tokenizer, written)
    left, cut = stop.cut(ids)
    assert cut == (answer is None) and tokenizer.decode(left.tolist()) == (written if cut else answer)


def test_a_token_of_both_the_answer_and_the_end(encode):
    """ "}\\n" is one token here."""
    pieces = ["}", "\n", "E", "}\n"]
    fake = SimpleNamespace(
        decode=lambda ids, skip_special_tokens: "".join(pieces[i] for i in ids),
        encode=lambda text, add_special_tokens: SimpleNamespace(ids=[pieces.index(c) for c in text]),
    )
    left, cut = ending.Ending([1, 2], fake, []).cut(np.array([0, 3, 2, 0]))
    assert left.tolist() == [0, 0] and not cut


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ("", None),
        ("<|im_end|>", int),
        ("<|im_end|>\n", int),
        ("\n<|im_end|>", ending.Ending),
        ("<|im_end|>.", ending.Ending),
        ("\n", ending.Ending),
    ],
)
def test_a_control_token_is_an_end_of_its_own(tokenizer, control, encode, after, kind):
    stop = ending.of_template(encode(after).tolist(), tokenizer, control)
    assert stop is None if kind is None else isinstance(stop, kind)
    if kind is int:
        assert tokenizer.id_to_token(stop) == "<|im_end|>"


def test_the_characters_of_a_control_token_are_no_end(tokenizer, control, encode):
    stop = ending.of_template(encode("\n<|im_end|>").tolist(), tokenizer, control)
    written = letters(tokenizer, "a\n<|im_end|>")
    assert stop.cut(written)[1] and not stop.cut(np.append(written, encode("\n<|im_end|>")))[1]


def test_rows_end_one_by_one(tokenizer, control, encode):
    stop = ending.of_template(encode(END).tolist(), tokenizer, control)
    prompt = encode(f"{END} prompt").tolist()  # an end in the prompt is none
    rows = [encode(f"{i}{END}").tolist() for i in (1, 2)]
    width, reached = max(map(len, rows)), stop.reached(len(prompt))
    for done in range(1, width + 1):
        ids = torch.tensor([prompt + row[:done] + [0] * (done - len(row)) for row in rows])
        assert reached(ids, None).tolist() == [done >= len(row) for row in rows]


def test_generation_goes_on_until_the_end_in_every_row(nano, tokenizer, control):
    """The end is what a model says second and third of its own: alone and in a batch alike."""
    folder, tokens = nano("dense")
    model, split = loading.load(folder), Tokens(tokens["math"]).split("eval")
    end = tokenizer.encode(END).ids
    stop = ending.Ending(end, tokenizer, control)
    greedy = scoring.generate(model, [split[0]], 4, None)[0][0].tolist()
    first = ending.Ending(greedy[1:3], tokenizer, control)
    for documents in ([split[0]], [split[0], split[1], split[2]]):
        answers = scoring.generate(model, documents, 8, first)
        assert answers[0][0].tolist() == greedy[:1] and not answers[0][1]
        assert all(cut == (len(ids) == 9) for ids, cut in answers[1:])
    (ids, cut), whole = scoring.generate(model, [split[0]], 3, stop)[0], 3 + len(end) - 1
    assert cut and len(ids) == whole  # room for the end beside that for the answer


def test_a_model_that_says_the_gold_answer_is_right(nano, tokenizer, control, monkeypatch):
    folder, _ = nano("dense")
    model, (end, gold) = loading.load(folder), (tokenizer.encode(END).ids, tokenizer.encode("a\n#### 18").ids)
    prompt = tokenizer.encode("how many?").ids
    ids = np.array([*prompt, *gold, *end], np.uint32)
    meta = {"id": "x", "group": "g", "source": "s", "answer": "18", "stop": len(end)}
    document = Document(ids, np.arange(len(ids)) < len(prompt), meta)

    def parrot(input_ids, **more):
        return torch.cat([input_ids, torch.tensor([gold + end + [5]])], 1)

    monkeypatch.setattr(forward.base_network(model), "generate", parrot)
    shards = SimpleNamespace(split=lambda name: [document], index={"stop_ids": end, "special_ids": control})
    options = {"documents": 1, "choice_items": 0, "generate": ["d"], "generation_items": 1}
    options |= {"max_new_tokens": len(gold) + 1, "batch_tokens": 64}
    stop = evaluation.stop_token(shards, tokenizer)
    scores = evaluation.score_domain(model, shards, "d", options, tokenizer.decode, stop)
    row = scores["documents"][0]
    assert (row["exact_match"], row["answer_cut"], row["generated"]) == (1, 0, "a\n#### 18")
    assert scores["answer_room"] == {
        "max_new_tokens": len(gold) + 1,
        "longest_gold_answer": len(gold) + 1,
        "items": 1,
    }


def test_bare_text_has_no_end_and_says_so(nano, tokenizer, caplog):
    folder, tokens = nano("dense")
    shards = Tokens(tokens["math"])
    bare = SimpleNamespace(split=shards.split, index=shards.index | {"stop_ids": []})
    assert evaluation.stop_token(bare, tokenizer) is None
    options = {"documents": 2, "choice_items": 0, "generate": ["math"], "generation_items": 1}
    options |= {"max_new_tokens": 2, "batch_tokens": 64}
    scores = evaluation.score_domain(loading.load(folder), bare, "math", options, tokenizer.decode, None)
    assert scores["metrics"]["answer_cut"]["value"] == 1
    assert any("nothing ends an answer" in text for text in caplog.messages)
