"""A plan that does not fit is refused in one line that names the numbers and a change that really helps."""

import copy
from pathlib import Path

import pytest
import yaml
from test_shapes import QWEN_27B, QWEN_35B_A3B

from implicit_sparsity.errors import InputError
from implicit_sparsity.planning import cases, costs, feasibility, gpus, shapes

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())
KNOBS = {  # rule or measurement, method -> changes of which each must be offered where it suffices
    ("train_adapter", "lora"): [
        (("training", "gradient_checkpointing"), True),
        (("training", "batch_size"), 2),
        (("hardware", "cards_per_job", "dense"), 2),
        (("models", "dense", "quantization"), "int8"),
        (("models", "dense", "quantization"), "nf4"),
        (("tokens", "max_length"), 1024),
        (("methods", "lora", "rank"), 256),
    ],
    ("train_adapter", "activation_mask"): [(("methods", "activation_mask", "fraction"), 0.25)],
    ("activations", ""): [(("probes", "activations", "batch_tokens"), 8192)],
    ("drift", ""): [(("probes", "drift", "batch_tokens"), 8192)],
    ("plasticity_task", ""): [(("probes", "plasticity_task", "rank"), 2)],
    ("input_spectra", ""): [
        (("probes", "input_spectra", "down"), False),
        (("probes", "input_spectra", "layers"), 2),
    ],
    ("evaluate_checkpoint", ""): [(("evals", "batch_tokens"), 8192), (("evals", "generation_items"), 2)],
}
CASES = [(case, change) for case, changes in KNOBS.items() for change in changes]


@pytest.fixture(scope="module")
def full_size():
    return {"dense": shapes.of_config(QWEN_27B), "mixture": shapes.of_config(QWEN_35B_A3B)}


def study(sizes, gradients_again=True, **changes):
    """A study at full size on the two shapes; changes are {section: entries}."""
    config = copy.deepcopy(CONFIG)
    model = {"source": "path", "path": "x", "precision": "bf16"}
    config["models"] = {name: dict(model) for name in sizes}
    config["tokens"]["max_length"] = 2048
    config["training"] |= {"batch_size": 4, "gradient_checkpointing": False}
    config["probes"]["activations"]["batch_tokens"] = config["evals"]["batch_tokens"] = 16384
    config["evals"] |= {"generate": ["math"], "generation_items": 16}
    config["probes"]["gradients"] |= {"rank": 4, "gradient_checkpointing": gradients_again}
    config["probes"]["plasticity_task"] |= {"rank": 4, "gradient_checkpointing": gradients_again}
    config["probes"]["relearning"] |= {"rank": 4, "gradient_checkpointing": gradients_again}
    config["probes"]["drift"]["batch_tokens"] = 16384
    config["probes"]["input_spectra"]["down"] = True
    config["methods"] = {"lora": {"rank": 512}, "activation_mask": {"fraction": 0.5}}
    config["hardware"] = {"card": "a100_80gb", "cards": 8, "price_per_hour": 2.5}
    for section, entries in changes.items():
        config[section] |= entries
    return costs.Study(config, dict(sizes), fast=True)


@pytest.mark.parametrize("case, change", CASES, ids=[f"{c[0]}-{'.'.join(k[0])}-{k[1]}" for c, k in CASES])
def test_every_knob_is_found_where_it_helps(full_size, monkeypatch, case, change):
    """A GPU with just room enough for the plan after the change, and for nothing else that is larger."""
    before = study({"dense": full_size["dense"]})
    after = feasibility.changed(before, [change])
    need, enough = (feasibility.needed(one, "dense", case) for one in (before, after))
    assert enough < need
    room = gpus.Gpu(enough + 1e3, 312e12, 19.5e12, 2e12)
    monkeypatch.setitem(gpus.GPUS, "a100_80gb", room)
    line = f"{'.'.join(change[0])}: {str(change[1]).lower()} ({enough / 1e9:.1f} GB)"
    assert line in feasibility.advice(before, "dense", case)
    with pytest.raises(InputError) as refused:
        feasibility.check(before, "dense")
    words = str(refused.value)
    assert words.startswith("models.dense: ") and "\n" not in words
    assert "needs" in words and f"has {room.memory / 1e9:.1f}" in words and "fits" in words


def test_what_fits_is_not_refused(full_size):
    small = {
        "training": {"gradient_checkpointing": True, "batch_size": 1},
        "methods": {"lora": {"rank": 4}, "activation_mask": {"fraction": 0.003}},
        "evals": {"batch_tokens": 2048},
        "probes": {
            "input_spectra": CONFIG["probes"]["input_spectra"],
            "activations": CONFIG["probes"]["activations"] | {"batch_tokens": 2048},
        },
    }
    feasibility.check(study(full_size, **small), "dense")
    feasibility.check(study(full_size, **small), "mixture")


def test_checkpointing_is_the_first_advice(full_size):
    """It changes no result; rank and length do."""
    sizes = {"dense": full_size["dense"]}
    plan = study(
        sizes,
        methods={"lora": {"rank": 8}, "activation_mask": {"fraction": 0.003}},
        training={"batch_size": 1},
    )
    advice = feasibility.advice(plan, "dense", ("train_adapter", "lora"))
    assert advice.startswith("smallest change that fits: training.gradient_checkpointing: true")


def test_what_no_single_change_mends(full_size):
    plan = study({"dense": full_size["dense"]}, hardware={"card": "a100_40gb", "cards": 1})
    advice = feasibility.advice(plan, "dense", ("train_adapter", "lora"))
    assert advice.startswith(
        "no one change suffices; together these fit: training.gradient_checkpointing: true"
    )
    changes = {}
    for word in advice.split("fit: ")[1].rsplit(" (", 1)[0].split(", "):
        path, value = word.split(": ")
        changes[tuple(path.split("."))] = yaml.safe_load(value)
    mended = feasibility.changed(plan, list(changes.items()))
    assert feasibility.needed(mended, "dense", ("train_adapter", "lora")) <= plan.gpu.memory


def test_gradients_of_documents(full_size):
    """One document without checkpointing keeps more than the GPU has beside the weights."""
    plan = study({"dense": full_size["dense"]}, gradients_again=False)
    with pytest.raises(InputError, match=r"probes\.gradients\.gradient_checkpointing: true"):
        small = feasibility.changed(
            plan, [(("evals", "batch_tokens"), 2048), (("probes", "activations", "batch_tokens"), 2048)]
        )
        feasibility.check(small, "dense", trained_with=())


def test_more_cards_are_for_training_alone(full_size):
    """Other jobs get one GPU, whatever training has: their memory must not be told as if it were halved."""
    one = study({"mixture": full_size["mixture"]})
    two = feasibility.changed(one, [(("hardware", "cards_per_job", "mixture"), 2)])
    before, after = (cases.cases(plan, "mixture") for plan in (one, two))
    for case in before:
        assert (after[case]["total"] < before[case]["total"]) == (case[0] == "train_adapter"), case
    job = {"model": "mixture", "method": "lora", "order": "forward", "seed": "0", "stage": "1"}
    assert two.cost(costs.Job(0, "train_adapter", job)).gpu == 2
    assert two.cost(costs.Job(1, "evaluate_checkpoint", {"model": "mixture", "checkpoint": "base"})).gpu == 1
