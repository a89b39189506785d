"""Bad records are refused with file and line, or dropped and counted."""

import json

import pytest
from corpora_samples import record

from implicit_sparsity.corpora.bad import BadRecord
from implicit_sparsity.corpora.records import FIELDS, check, read_jsonl, write_jsonl
from implicit_sparsity.errors import InputError

GOOD = record(0)


def without(key):
    return {k: v for k, v in GOOD.items() if k != key}


def line(value) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


BAD = {
    "invalid UTF-8": [b'{"id": "\xff"}', GOOD | {"prompt": "half a pair \ud800"}],
    "nested too deep": [b"[" * 100_000, b'{"a": ' * 101 + b"1" + b"}" * 101],
    "over-long number": [b'{"a": 1%s}' % (b"0" * 5000), b'{"a": 1e999}', b'{"a": -1.%s}' % (b"0" * 5000)],
    "NaN or Infinity": [b'{"a": NaN}', b'{"a": [{"b": -Infinity}]}'],
    "key given twice": [b'{"a": 1, "b": 2, "a": 1}', b'{"a": {"b": [{"c": 1, "c": 2}]}}'],
    "invalid JSON": [b"{", b"[1, 2", line(GOOD) + b" x"],
    "control character": [
        GOOD | {"prompt": "a\0b"},
        GOOD | {"group": "g\0"},
        GOOD | {"completion": "\x1b[1m"},
    ],
    "empty text": [GOOD | {"completion": " \n"}, GOOD | {"id": ""}, GOOD | {"licence": ""}],
    "over-long text": [GOOD | {"prompt": "a" * 501}, GOOD | {"completion": "a" * 501}],
    "missing field": [
        *(without(key) for key in ("id", "group", "source", "prompt", "completion", "licence")),
        GOOD | {"choices": ["a", "b"]},
        GOOD | {"correct": 0},
    ],
    "wrong type": [
        *(GOOD | {key: 3} for key in ("id", "group", "prompt", "completion")),
        *(GOOD | {"choices": c, "answer": "a"} for c in ("ab", ["a", 1], None)),
        *(GOOD | {"choices": ["a", "b"], "correct": c} for c in (2, -1, True, "0", None)),
        GOOD | {"answer": 3},
        b"[]",
        b"null",
    ],
    "unknown field": [GOOD | {"promt": "x"}],
    "duplicated id": [GOOD],
    "too few choices": [GOOD | {"choices": ["a"], "answer": "a"}],
    "duplicate choices": [
        GOOD | {"choices": choices, "answer": "b"}
        for choices in (["a", "b", "a"], ["b", "Yes", " yes."], ["b", "\u00e9", "e\u0301"], ["b", "１", "1"])
    ],
    "answer not in choices": [GOOD | {"choices": ["a", "b"], "answer": "c"}],
}


@pytest.mark.parametrize(("reason", "bad"), [(reason, bad) for reason in BAD for bad in BAD[reason]])
def test_bad_record(tmp_path, reason, bad):
    path = tmp_path / "records.jsonl"
    first = GOOD if reason == "duplicated id" else record(1)
    path.write_bytes(b"\n".join([line(first), b"", line(bad), line(record(2))]))
    with pytest.raises(InputError) as caught:
        read_jsonl(path, 500)
    assert str(caught.value).startswith(f"{path}:3: ") and "\n" not in str(caught.value)
    records, dropped = read_jsonl(path, 500, on_bad="drop")
    assert [r["id"] for r in records] == [first["id"], "one:2"] and dropped == {reason: 1}


def test_an_answer_is_its_choice_in_any_spacing_and_case(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(line(GOOD | {"choices": ["Oui", "Non"], "answer": " oui."}))
    assert read_jsonl(path)[0][0]["answer"] == "Oui"
    numbers = GOOD | {"choices": ["5", "5.0", "-5"], "answer": "5.0"}
    assert check(numbers) == numbers, "what a program prints: these are three"


def test_two_forms_of_a_choice_are_named():
    with pytest.raises(BadRecord, match=r"^' yes' is there twice, as 'Yes' too$"):
        check(GOOD | {"choices": ["Yes", "no", " yes"], "answer": "no"})


def test_round_trip_keeps_text_to_the_byte(tmp_path):
    text = 'tab\t, quote ", line\u2028separator, form feed \f, accent e\u0301, emoji 🧠, \r\n, trailing \n'
    more = {"choices": ["x", text], "answer": text, "correct": 1}
    write_jsonl(tmp_path / "a", [dict(reversed(record(1, prompt=text, completion=text, **more).items()))])
    records, dropped = read_jsonl(tmp_path / "a")
    assert records == [record(1, prompt=text, completion=text, **more)] and not dropped
    assert list(records[0]) == [key for key in FIELDS if key in records[0]]


def test_byte_order_mark_and_missing_newline_are_no_faults(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf" + line(GOOD) + b"\r\n" + line(record(1)))
    assert len(read_jsonl(tmp_path / "a")[0]) == 2


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_jsonl(tmp_path / "none")
