"""Costs of jobs: hours follow the card, a checkpoint's score takes the base model's pass."""

import pytest
from test_growth import CONFIG, study
from test_shapes import QWEN_27B

from implicit_sparsity.planning import cases, shapes, work
from implicit_sparsity.planning.costs import Job


def test_hours_follow_the_card_and_the_measured_utilisation():
    hardware = {"hardware": {"card": "a100_80gb", "price_per_hour": 2.5}}
    job = Job(0, "train_adapter", {"model": "qwen_27b", "method": "lora", "order": "forward", "stage": "1"})
    training = {"training": CONFIG["training"] | {"steps": 5000}}  # loading weights is nothing beside it
    slow = study(hardware | training).cost(job)
    fast = study({"hardware": {"card": "h100_80gb"}} | training).cost(job)
    known = study(hardware | training, measured={("qwen_27b", "train"): 0.7}).cost(job)
    opening = 20 + 2 * shapes.of_config(QWEN_27B).total / 1e9
    assert (slow.seconds - opening) / (fast.seconds - opening) == pytest.approx(989 / 312, rel=0.01)
    assert (slow.seconds - opening) / (known.seconds - opening) == pytest.approx(2, rel=0.01)
    assert study().cost(job).seconds == 0, "without hardware there is nothing to tell"


def test_scoring_a_checkpoint_takes_a_pass_of_the_base_model_too():
    """For the divergence from it: its body once more on the scored documents, and both heads."""
    plan = study({"hardware": {"card": "a100_80gb"}, "methods": {"lora": {}, "full": {}}})
    base, adapted, whole = (
        plan.cost(Job(0, "evaluate_checkpoint", {"model": "qwen_27b", "checkpoint": checkpoint}))
        for checkpoint in ("base", "lora.forward.seed0.stage1", "full.forward.seed0.stage1")
    )
    shape, length = plan.shapes["qwen_27b"], plan.length("qwen_27b")
    tokens = CONFIG["evals"]["documents"] * len(CONFIG["domains"]) * length
    assert adapted.tokens - base.tokens == pytest.approx(tokens)
    flops = tokens * (work.body_flops(shape, length / 2) + 2 * work.head_flops(shape))
    assert adapted.flops - base.flops == pytest.approx(flops) == whole.flops - base.flops
    assert whole.seconds - base.seconds > 2 * shape.total / work.LOAD, "its weights are read as well"
    head = 2.0 * shape.hidden * shape.vocabulary
    assert cases.cases(plan, "qwen_27b")["evaluate_checkpoint", "lora"]["head"] == head
