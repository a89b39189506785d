"""The plan of a format warm-up: one job a model, its memory and storage, and nothing at all without it."""

import pytest
from planned import study

from implicit_sparsity.planning import cases, feasibility, plan, storage, warming
from implicit_sparsity.planning.costs import Job

ON = {"training": {"format_warmup": {"steps": 10, "documents": 64}}}
CARD = {"hardware": {"card": "a100_80gb"}}
ASKED = {"trained": [], "measured": {"activations": ["base"]}}
JOB = Job(0, "warm_up_format", {"model": "dense"})


def test_it_is_one_job_of_every_model_and_none_where_it_is_off():
    for model in ("dense", "mixture"):
        rules = plan.of_model(study((model,), **ON), model, ASKED, {})["rules"]
        assert rules["warm_up_format"]["jobs"] == 1
        assert rules["warm_up_format"]["tokens"] == 10 * 8 * warming.LENGTH
    for off in ({}, {"training": {"format_warmup": False}}):
        assert "warm_up_format" not in plan.of_model(study(**off), "dense", ASKED, {})["rules"]
        assert cases.cases(study(**off), "dense") == cases.cases(study(), "dense")


def test_it_takes_time_in_proportion_to_steps_and_writes_a_second_model():
    once, twice = (
        study(**CARD, training={"format_warmup": {"steps": steps, "documents": 64}}).cost(JOB)
        for steps in (10, 20)
    )
    assert twice.flops == pytest.approx(2 * once.flops) and twice.tokens == 2 * once.tokens
    assert once.gpu == twice.gpu == 1 and once.seconds > 20
    rooms = [storage.rooms(study(**ON), jobs)["models"] for jobs in ([], [JOB])]
    assert rooms[1] == 2 * rooms[0]


def test_routed_experts_are_frozen():
    """No update of fused experts is made, and AdamW's moments are those of the linear layers alone."""
    parts = cases.cases(study(("mixture",), **ON), "mixture")
    whole = parts["train_adapter", "lora"]
    own = parts["warm_up_format", ""]
    assert "fused experts" in whole and "fused experts" not in own
    assert own["optimizer"] < whole["optimizer"]
    assert own["total"] == pytest.approx(sum(size for part, size in own.items() if part != "total"))


def test_where_it_does_not_fit_it_can_be_left_out():
    plan_of = study(**CARD, **ON)
    advice = feasibility.tried(plan_of, "dense", ("warm_up_format", ""))[0]
    assert (("training", "format_warmup"), False, 0.0) in advice
