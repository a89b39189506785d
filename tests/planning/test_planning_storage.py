"""Bytes on disk, counted by hand."""

import pytest
from planned import COMPARED, CONFIG, DOMAINS, LENGTH, shape, study

from implicit_sparsity.planning.costs import Job
from implicit_sparsity.planning.storage import rooms, tokens

SIZES = CONFIG["splits"]
DOCUMENTS = SIZES["train"] + SIZES["select"] + SIZES["eval"] + 2 * SIZES["probe"]  # of a domain


def measured(number, name, model="dense"):
    at = {"measurement": name, "model": model, "checkpoint": "base", "domain": "code"}
    return Job(number, "measure_domain", at)


def trained(number, method, stage):
    at = {"model": "dense", "method": method, "order": "forward", "seed": "0", "stage": str(stage)}
    return Job(number, "train_adapter", at)


def test_models_and_tokens_are_there_before_any_job():
    result = rooms(study(), [])
    assert result == {
        "models": 4 * shape("dense").total,
        "tokens": 5 * DOCUMENTS * DOMAINS * LENGTH,
        "adapters": 0,
        "state of methods": 0,
    }
    assert tokens(10) == 50
    counted = rooms(study(lengths={"dense": LENGTH / 2}), [])
    assert counted["tokens"] == result["tokens"] / 2
    both = rooms(study(("dense", "mixture")), [])
    assert both["models"] == 4 * (shape("dense").total + shape("mixture").total)
    assert both["tokens"] == 2 * result["tokens"]


def test_a_hub_has_models_in_two_bytes():
    plan = study()
    plan.config["models"]["dense"]["source"] = "hub"
    assert rooms(plan, [])["models"] == 2 * shape("dense").total


def test_every_store_counts_and_a_control_has_one_of_each_domain():
    one = study().measurement("activations").stored(shape("dense"))
    assert one > 0
    assert rooms(study(), [measured(0, "activations"), measured(1, "activations")])["activations"] == 2 * one
    control = Job(2, "measure_control", {"model": "dense", "control": "bare"})
    assert rooms(study(), [measured(0, "activations"), control])["activations"] == (1 + COMPARED) * one
    assert "drift" not in rooms(study(), [measured(0, "drift")]), "not worth planning"


def test_adapters_and_what_methods_keep():
    """LoRA of rank 2: an adapter of the same size after every stage, in float32, and no state."""
    plan = study(methods={"lora": {"rank": 2}, "orthogonal": {"rank": 2, "max_rank": 3}})
    numbers = sum(2 * (w.inputs + w.outputs) * w.count for w in shape("dense").weights)
    result = rooms(plan, [trained(0, "lora", 1), trained(1, "lora", 2)])
    assert result["adapters"] == 2 * 4 * numbers and result["state of methods"] == 0
    first, second = (rooms(plan, [trained(0, "orthogonal", stage)]) for stage in (1, 2))
    assert first["state of methods"] > 0
    assert second["state of methods"] == pytest.approx(2 * first["state of methods"])


def test_other_jobs_write_nothing_that_is_planned():
    others = [Job(0, "draw_figure", {"figure": "hubs"}), Job(1, "preflight", {}), Job(2, "all", {})]
    assert rooms(study(), others) == rooms(study(), [])
