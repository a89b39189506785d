"""What an archive says of itself: when, under which licences, how much."""

import json
from types import SimpleNamespace

import pytest

from implicit_sparsity.provenance.archiving import metadata
from implicit_sparsity.storage.files import write_json

NOTE = ".snakemake/metadata/"


@pytest.fixture
def place(tmp_path):
    """Write a JSON file; its entry in ``files``."""

    def put(name, value):
        path = tmp_path / name.replace("/", "_")
        write_json(path, value)
        return {name: path}

    return put


def source(name, documents, *licences):
    facts = {"licences": list(licences), "loader": "jsonl", "documents": documents}
    return {"source": name, "versions": {}, "sha256": {}, **facts, "options": {"path": "x"}}


def corpora(place):
    files = place("results/corpora/math/sources/gsm.manifest.json", source("gsm", 60, "MIT"))
    files |= place("results/corpora/math/sources/champ.manifest.json", source("champ", 9, "CC0", "MIT"))
    files |= place("results/corpora/math/splits/manifest.json", {"licences": {"MIT": 40, "CC0": 2}})
    files |= place("left_out/results/corpora/code/splits/manifest.json", {"licences": {"PSF-2.0": 7}})
    files |= place("results/models/nano/manifest.json", {"revision": "r"})
    return files | place("results/corpora/math/splits/train.jsonl", {})


def test_the_study_lasts_from_the_first_start_to_the_last_end(place):
    files = place(f"{NOTE}a", {"starttime": 200.9, "endtime": 300.2})
    files |= place(f"{NOTE}b", {"starttime": 100.5, "endtime": 250.0})
    files |= place(f"{NOTE}c", {"starttime": None, "endtime": 0})
    files |= place("results/metadata.json", {"starttime": 1, "endtime": 999})
    assert metadata.times(files) == (100, 300)
    assert metadata.times({}) == (0, 0)


def test_licences_of_each_domain_also_of_what_was_left_out(place):
    made = metadata.licences(corpora(place))
    assert list(made) == ["code", "math"]
    assert made["code"] == {"licences": {"PSF-2.0": 7}, "sources": {}}
    assert made["math"]["licences"] == {"MIT": 40, "CC0": 2}
    assert {name: facts["documents"] for name, facts in made["math"]["sources"].items()} == {
        "gsm": 60,
        "champ": 9,
    }
    assert "options" not in made["math"]["sources"]["gsm"], "they may name a path of the machine"


def test_the_page_has_a_row_for_each_source(place):
    page = metadata.licences_page(metadata.licences(corpora(place)))
    rows = [line for line in page.splitlines() if line.startswith("| math")]
    assert rows == ["| math | champ | CC0, MIT | 9 |", "| math | gsm | MIT | 60 |"]
    assert page.startswith("# Licences of the data\n") and page.endswith("|\n")


def test_an_archive_says_how_much_it_holds_and_no_patch(place):
    files = corpora(place) | place(f"{NOTE}a", {"starttime": 5, "endtime": 6})
    code = {"commit": "c", "dirty": True, "patch": "secret"}
    contents = SimpleNamespace(files=files, code=code, run={"config": {}}, left_out=["results/models/nano"])
    made = metadata.of_archive(contents, {"weights": False}, {"seeds": [0]}, {"a": 3, "b": 4})
    assert made == {
        "format": 1,
        "code": {"commit": "c", "dirty": True},
        "run": {"config": {}},
        "laid": {"seeds": [0]},
        "options": {"weights": False},
        "left_out": ["results/models/nano"],
        "started": 5,
        "ended": 6,
        "licences": {"code": {"PSF-2.0": 7}, "math": {"MIT": 40, "CC0": 2}},
        "files": 2,
        "bytes": 7,
    }


def test_json_is_the_same_whatever_the_order_and_keeps_letters():
    text = metadata.as_json({"b": "é", "a": [1]})
    assert text == metadata.as_json({"a": [1], "b": "é"}) and text.endswith(b"}\n")
    assert json.loads(text) == {"a": [1], "b": "é"} and "é".encode() in text
