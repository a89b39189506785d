"""Which run and stage a checkpoint's name says."""

import pandas as pd

from implicit_sparsity.metrics import checkpoints


def stages(*names, model="m"):
    frame = pd.DataFrame({"model": model, "checkpoint": names, "value": range(len(names))})
    return frame.set_index(frame.index + 10)


def test_checkpoints_are_taken_apart_by_their_names():
    parsed = checkpoints.parse(
        stages("lora_slow.forward.seed0.stage2", "osf.a_b.seed12.stage10")["checkpoint"]
    )
    assert parsed.to_dict("records") == [
        {"method": "lora_slow", "order": "forward", "seed": 0, "stage": 2},
        {"method": "osf", "order": "a_b", "seed": 12, "stage": 10},
    ]
    assert list(parsed.index) == [10, 11]
    assert list(checkpoints.parse(stages()["checkpoint"]).columns) == ["method", "order", "seed", "stage"]


def test_the_base_model_is_a_run_of_its_own():
    frame = stages("base", "a.x.seed0.stage1", "a.x.seed0.stage2", "base").assign(order="of the table")
    runs = checkpoints.of_runs(frame)
    assert runs["stage"].tolist() == [0, 1, 2, 0] and runs["order"].tolist() == ["", "x", "x", ""]
    assert list(checkpoints.last_stages(runs)["value"]) == [0, 2, 3]
