"""archive.json of a stranger: each thing that it must say, said otherwise."""

import json

import pytest
from planted_archive import FILES, metadata, whole

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance.archiving import restoring, validating
from implicit_sparsity.provenance.archiving.layout import METADATA

CODE = json.loads(metadata(FILES))["code"]
RUN = {"configfiles": ["Snakefile"], "config": {"seeds": [0]}}


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"code": {}}, "code.dirty"),
        ({"code": CODE | {"dirty": 1}}, "code.dirty"),
        ({"code": CODE | {"commit": "c" * 39}}, "code.commit"),
        ({"code": CODE | {"commit": "\x1b[2J"}}, "code.commit"),
        ({"code": CODE | {"changed": "a"}}, "code.changed"),
        ({"code": CODE | {"untracked": [1]}}, "code.untracked"),
        ({"code": CODE | {"files": None}}, "code.files"),
        ({"run": {}}, "run.configfiles"),
        ({"run": {"configfiles": 3, "config": []}}, "run.configfiles"),
        ({"run": RUN | {"configfiles": ["--unlock"]}}, "that it does not hold"),
        ({"run": RUN | {"configfiles": ["../mine.yaml"]}}, "that it does not hold"),
        ({"run": RUN | {"config": []}}, "run.config"),
        ({"run": RUN | {"config": {"--cores": 1}}}, "run.config"),
        ({"run": RUN | {"config": {"x": "A" * 5000}}}, "run.config of more than 4096 letters"),
        ({"left_out": [{}]}, "left_out"),
        ({"left_out": ["a\nb"]}, "left_out"),
        ({"left_out": ["a" * 5000]}, "left_out"),
        ({"bytes": -1}, "no bytes that is a count"),
        ({"bytes": 1.5}, "no bytes that is a count"),
        ({"format": True}, "of format"),
        ({"format": 1.0}, "of format"),
        ({"format": "\x1b[31m"}, "of format"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(tmp_path, changed, words):
    with pytest.raises(InputError, match=words) as refusal:
        restoring.restore(whole(tmp_path / "a.tar", **changed), tmp_path / "into")
    assert str(refusal.value).isprintable() and not (tmp_path / "into").exists()


@pytest.mark.parametrize("content", [[], 3, None, "text"])
def test_a_value_that_is_no_mapping(content):
    assert validating.wrong(content, {}) == "is no mapping"
    right = json.loads(metadata(FILES))
    assert validating.wrong(right | {"files": True}, FILES) == "has no files that is a count"


def test_a_config_may_be_neither_long_nor_deep():
    right = json.loads(metadata(FILES))
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value, fits in (("A" * 4000, True), ("A" * 4096, False), (deep, False)):
        reason = validating.wrong(right | {"run": RUN | {"config": {"x": value}}}, FILES | {METADATA: ""})
        assert reason == (None if fits else "has a run.config of more than 4096 letters")


def test_deep_json_is_one_line(tmp_path):
    """Python's reader gives up with a RecursionError."""
    from implicit_sparsity.provenance.archiving import packing
    from implicit_sparsity.provenance.archiving.layout import MANIFEST

    members = FILES | {METADATA: b"[" * 100_000}
    sums = {name: packing.size_and_sum(content)[1] for name, content in members.items()}
    members[MANIFEST] = packing.manifest(sums)
    sums[MANIFEST] = packing.size_and_sum(members[MANIFEST])[1]
    packing.write(tmp_path / "a.tar", members, sums, 0)
    with pytest.raises(InputError, match="damaged or no archive"):
        restoring.restore(tmp_path / "a.tar", tmp_path / "into")


def test_what_is_right_is_accepted():
    right = json.loads(metadata(FILES, run=RUN, left_out=["results/a.zarr"]))
    assert validating.wrong(right, FILES | {METADATA: ""}) is None
    assert validating.wrong(right | {"code": CODE | {"commit": ""}}, FILES | {METADATA: ""}) is None
