"""What is said of each kind of artifact, by hand; of damaged ones nothing."""

import json

import pytest

from implicit_sparsity.provenance.explaining import facts
from implicit_sparsity.provenance.explaining.graph import Artifact

RECORD = {"rule": "work", "code": "c" * 64, "made": {"commit": "abc", "device": "cpu"}}
MADE = "rule work, code cccccccccccc, commit abc, on cpu"
STAGE = {"method": "lora", "order": "forward", "seed": 2, "stage": 3, "model": "nano", "revision": "r1"}
SPLITS = {"domain": "math", "documents": {"train": 40, "eval": 10}, "licences": {"MIT": 45, "CC0": 5}}
EVAL = {"model": "nano", "revision": "r1", "checkpoint": "base", "domain": "math"}
EVAL |= {"metrics": {"loss_content": {"value": 2.34567891}, "acc": {"value": 0.5}}}
MODEL = {"name": "nano", "revision": "r1", "files": {"model.safetensors": "5" * 64, "config.json": "6" * 64}}
KINDS = {  # path -> (file of its own, its content, what is said of it)
    "results/models/nano": (
        "manifest.json",
        MODEL,
        ["model nano @ r1, model.safetensors sha256 555555555555"],
    ),
    "results/corpora/math/splits": (
        "manifest.json",
        SPLITS,
        ["splits of domain math: train 40, eval 10", "licences: MIT (45), CC0 (5)"],
    ),
    "results/tokens/nano/math": (
        "index.json",
        {"tokenizer": {"sha256": "7" * 64}, "splits": {"train": {"tokens": 30}, "eval": {"tokens": 12}}},
        ["42 tokens, tokenizer sha256 777777777777"],
    ),
    "results/adapters/nano/lora.forward.seed2.stage3": (
        "stage.json",
        {"study": STAGE | {"trained_domains": ["code", "math"]}},
        ["method lora, order forward, seed 2, stage 3 (trained on code, math), model nano @ r1"],
    ),
    "results/drift/a.zarr": (
        "zarr.json",
        {"attributes": {"title": "Drift of nano", "revision": "r1"}},
        ["Drift of nano, model @ r1"],
    ),
    "results/evals/nano/base/math.json": (
        "",
        {"study": EVAL},
        ["scores of model nano @ r1, checkpoint base on math: loss_content 2.34568, acc 0.5"],
    ),
}


def artifact(root, path, name, content, **record):
    place = root / path
    file = place / name if name else place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return Artifact(path, place, RECORD | record)


@pytest.mark.parametrize("path", KINDS)
def test_each_kind_says_what_it_is_and_how_it_was_made(tmp_path, path):
    name, content, lines = KINDS[path]
    assert facts.of(artifact(tmp_path, path, name, content)) == [*lines, MADE]


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_artifact_says_how_it_was_made_alone(tmp_path, path, content):
    assert facts.of(artifact(tmp_path, path, KINDS[path][0], content)) == [MADE]


def test_the_same_file_elsewhere_is_nothing_of_the_kind(tmp_path):
    for path in KINDS:
        name, content, _ = KINDS[path]
        other = path.replace("results/", "results/other/", 1).replace("splits", "split").replace(".zarr", "")
        assert facts.of(artifact(tmp_path, other, name, content)) == [MADE], path


def test_a_model_says_where_it_came_from_and_what_to_bear_in_mind(tmp_path):
    content = MODEL | {"repository": "org/nano", "note": "trained here"}
    first, note, _ = facts.of(artifact(tmp_path, "results/models/nano", "manifest.json", content))
    assert first == "model nano @ r1, org/nano, model.safetensors sha256 555555555555"
    assert note == "trained here"


def source(root, **changed):
    manifest = {"source": "gsm", "domain": "math", "documents": 60, "licences": ["CC0", "MIT"]}
    manifest |= {"versions": {"pyarrow": "1.0"}, "sha256": {"gsm.jsonl": "5" * 64}} | changed
    (root / "gsm.manifest.json").write_text(json.dumps(manifest))
    (root / "gsm.jsonl").write_text("")
    return Artifact("results/corpora/math/sources/gsm.jsonl", root / "gsm.jsonl", RECORD)


def test_a_source_is_told_from_the_manifest_beside_it(tmp_path):
    what = "data set gsm of domain math: 60 documents, licence CC0, MIT"
    assert facts.of(source(tmp_path)) == [what, "pyarrow 1.0, sha256 555555555555", MADE]
    assert facts.of(source(tmp_path, versions={}))[1] == "sha256 555555555555"
    assert facts.of(source(tmp_path, sha256={})) == [MADE]
    (tmp_path / "gsm.manifest.json").unlink()
    assert facts.of(Artifact("results/x/gsm.jsonl", tmp_path / "gsm.jsonl", RECORD)) == [MADE]


def test_what_no_rule_made_and_what_is_not_there(tmp_path):
    assert facts.of(Artifact("data/x", tmp_path, {})) == ["not made by a rule of the study"]
    assert facts.of(Artifact("data/x", None, {})) == ["not here, and nothing is known of it"]
    noted = Artifact("results/x", None, {"rule": "work"}, noted=True)
    assert facts.of(noted) == ["rule work (Snakemake's note; the file itself says nothing)"]
    assert facts.of(Artifact("results/x", None, {"rule": "work"})) == ["rule work, code unknown"]


def test_options_are_told_a_line_each_long_mappings_taken_apart_and_long_values_cut():
    short, long = {"rank": 4, "targets": ["all"]}, {"a": "x" * 150, "b": {"c": "y" * 150}, "d": "z" * 250}
    options = {
        "method": short,
        "training": long,
        "nothing": {},
        "none": None,
        "empty": "",
        "zero": 0,
        "no": False,
    }
    assert facts._config("config", options) == [
        'config method: {"rank": 4, "targets": ["all"]}',
        f'config training a: "{"x" * 150}"',
        f'config training b: {{"c": "{"y" * 150}"}}',
        f'config training d: "{"z" * 199} ...',
        "config zero: 0",
        "config no: false",
    ]
