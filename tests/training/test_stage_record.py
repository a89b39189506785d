"""What a trained stage says of itself, and how its folder is to be loaded."""

import json

import networks
import pytest
import studies
import train_adapter

from implicit_sparsity.training import stage_record

STUDY = {"model": "m", "revision": "r1", "method": "lora", "order": "o", "seed": 3, "stage": 2}
STUDY |= {"trained_domains": ["code", "math"]}
ROWS = [
    {
        "step": 1,
        "loss": 2.5,
        "loss_content": 2.25,
        "loss_first": 4.0,
        "loss_stop": None,
        "loss_completion": 2.5,
        "learning_rate": 0.1,
        "grad_norm": 1.0,
        "constraint_violation": None,
        "n": 2,
        "groups": 1,
        "tokens": 7,
        "tokens_content": 3,
        "tokens_first": 1,
        "tokens_stop": 0,
    },
    {
        "step": 2,
        "loss": 1.5,
        "loss_content": 1.0,
        "loss_first": 2.0,
        "loss_stop": 2.0,
        "loss_completion": 1.5,
        "learning_rate": 0.2,
        "grad_norm": 0.5,
        "constraint_violation": 0.0,
        "n": 2,
        "groups": 2,
        "tokens": 9,
        "tokens_content": 2,
        "tokens_first": 1,
        "tokens_stop": 1,
    },
]
SPENT = {"documents": 3, "groups": 2, "tokens": 16, "completion_tokens": 5}
RESULT = {"curve": ROWS, "audit": {"trainable_parameters": 12}, **SPENT}
CARD = """\
---
library_name: peft
base_model: m
---
# lora, stage 2 of order o, seed 3

* base model: m at revision r1
* trained on, one after another: code, math
* this stage: 12 parameters, 2 steps, 16 tokens

`stage.json` has the full record, `learning_curve.csv` every step, `state.safetensors` what the next needs.

    from peft import PeftModel
    model = PeftModel.from_pretrained(base_model, "path/of/this/folder")
"""


def test_a_record_says_what_was_asked_for_and_what_was_spent():
    result = stage_record.record(STUDY, {"rank": 2}, {"steps": 4, "clip": 1.0}, RESULT)
    spent = SPENT | {"steps": 2, "loss_at_start": 2.5, "loss_at_end": 1.5}
    assert result.pop("versions")["torch"]
    assert result == {
        "study": STUDY,
        "options": {"rank": 2},
        "training": {"clip": 1.0} | spent,  # the steps that were taken: joint training takes more
        "audit": {"trainable_parameters": 12},
    }


def test_what_is_written_is_the_record_the_curve_and_a_card(tmp_path):
    record = stage_record.record(STUDY, {}, {}, RESULT)
    stage_record.write(tmp_path, record, RESULT, 1.23456)
    assert (tmp_path / "learning_curve.csv").read_bytes().decode() == (
        "step,loss,loss_content,loss_first,loss_stop,loss_completion,learning_rate,grad_norm,"
        "constraint_violation,n,groups,tokens,tokens_content,tokens_first,tokens_stop\n"
        "1,2.5,2.25,4.0,,2.5,0.1,1.0,,2,1,7,3,1,0\n"
        "2,1.5,1.0,2.0,2.0,1.5,0.2,0.5,0.0,2,2,9,2,1,1\n"
    )
    written = json.loads((tmp_path / "stage.json").read_text())
    measured = written.pop("measured")
    assert written == record and measured.keys() == {"seconds", "peak_memory_mb", "processes"}
    assert (measured["seconds"], measured["processes"]) == (1.235, 1)
    assert (tmp_path / "README.md").read_text() == CARD
    assert {path.name for path in tmp_path.iterdir()} == {"learning_curve.csv", "stage.json", "README.md"}


def test_of_several_processes_the_record_has_the_largest_peak(tmp_path):
    result = RESULT | {"measured": {"processes": 4, "peak_memory_mb": 9}}
    stage_record.write(tmp_path, stage_record.record(STUDY, {}, {}, result), result, 2)
    measured = json.loads((tmp_path / "stage.json").read_text())["measured"]
    assert measured == {"seconds": 2, "peak_memory_mb": 9, "processes": 4}


@pytest.mark.parametrize(
    "form, library, loader",
    [
        ("model", "transformers", "AutoModelForCausalLM"),
        ("adapter", "peft", "PeftModel"),
    ],
)
def test_a_card_names_the_library_that_loads_the_folder(form, library, loader):
    text = stage_record.card(stage_record.record(STUDY | {"form": form}, {}, {}, RESULT))
    assert f"library_name: {library}\n" in text and f"= {loader}.from_pretrained(" in text


def test_stage_record_curve_and_card_stand_beside_the_adapter(nano, tmp_path):
    model, tokens = nano("dense")
    folder = tmp_path / "lora.forward.seed3.stage1"
    shards = [str(tokens["code"])]
    recipe = studies.recipe("lora", {"rank": 2}, networks.TRAINING, order="forward", seed="3")
    train_adapter.train_adapter(str(folder), str(model), shards, recipe, code="c0de")
    record = json.loads((folder / "stage.json").read_text())
    assert record["study"]["trained_domains"] == ["code"] and record["study"]["seed"] == 3
    assert record["measured"]["seconds"] > 0 and record["measured"]["peak_memory_mb"] > 50
    assert record["training"]["tokens"] > record["training"]["completion_tokens"] > 0
    assert len((folder / "learning_curve.csv").read_text().splitlines()) == 5
    assert "PeftModel" in (folder / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name], "scratch is gone"
