"""Evaluations arranged as runs, by hand."""

import json

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import runs

GROUPS = {"w": "first", "x": "first", "y": "first", "z": "second"}


def evaluation(folder, stage, losses, ids="xyz", method="lora", domain="code"):
    study = {"model": "nano", "method": method, "order": "main", "seed": 0, "stage": stage, "domain": domain}
    study["metrics"] = {"loss_content": {"higher_is_better": False}}
    study["documents"] = [
        {"id": name, "group": GROUPS[name]} | ({} if loss is None else {"loss_content": loss})
        for name, loss in zip(ids, losses, strict=True)
    ]
    if method == "base":
        study |= {"order": "", "seed": None}
    path = folder / f"{method}.{stage}.{domain}.json"
    path.write_text(json.dumps({"study": study}))
    return path


def test_scores_of_documents_that_base_has_stage_by_stage(tmp_path):
    files = [evaluation(tmp_path, 0, [3, None, 5], method="base"), evaluation(tmp_path, 1, [1, 2, 4])]
    nano = runs.read(files, ["loss_content", "acc"])["nano"]
    assert nano.better == {"loss_content": False} and nano.seeds("lora", "main") == [0]
    assert [values.tolist() for values in nano.base(["code"], "loss_content")] == [[3, 5]]
    assert [names.tolist() for names in nano.groups_of(["code"], "loss_content")] == [["first", "second"]]
    assert nano.base(["code"], "acc") is None and nano.base(["math"], "loss_content") is None
    (code,) = nano.run("lora", "main", 0, ["code"], "loss_content")
    assert code.tolist() == [[1, 4]], "the second document has no score of base"
    (code,) = nano.run("lora", "main", 1, ["code"], "loss_content")
    assert code.shape == (1, 2) and np.isnan(code).all(), "another seed was not evaluated"


def test_other_documents_and_what_is_no_evaluation_are_one_line(tmp_path):
    files = [evaluation(tmp_path, 0, [1, 2, 3], method="base"), evaluation(tmp_path, 1, [1, 2, 3], "xyw")]
    with pytest.raises(InputError, match="other documents of code"):
        runs.read(files, ["loss_content"])
    (tmp_path / "x.json").write_text('{"study": {}}')
    with pytest.raises(InputError, match="not an evaluation of documents"):
        runs.read([tmp_path / "x.json"], ["loss_content"])
