"""What runs on a GPU: every job of a model, at its fullest stage."""

import pytest
from planned import CONFIG, study

from implicit_sparsity.planning.cases import cases

ALONE = {"evaluate_checkpoint", "activations", "gradients", "drift", "thresholds", "plasticity_task"}
ALONE |= {"functional_change", "relearning", "input_spectra"}
TRAINED = {"evaluate_checkpoint", "train_adapter", "drift", "plasticity_task"}  # the others are of base
TRAINED |= {"functional_change"}


def test_every_job_is_a_case_of_the_base_model_or_of_a_method():
    of = {"drift": [], "plasticity_task": [], "relearning": ["lora"]}
    probes = {name: CONFIG["probes"][name] | {"methods": methods} for name, methods in of.items()}
    result = cases(study(probes=probes), "dense")
    expected = {(job, "") for job in ALONE}
    expected |= {(job, method) for job in TRAINED for method in ("lora", "activation_mask", "orthogonal")}
    assert set(result) == expected | {("relearning", "lora")}, "of the methods that it names"
    for case, parts in result.items():
        total = sum(size for part, size in parts.items() if part != "total")
        assert parts["total"] == pytest.approx(total) and min(parts.values()) > 0, case


def test_a_measurement_of_more_stages_is_a_case_of_every_method():
    asked = study(probes={"gradients": {"stages": "all"}})
    assert {case for case in cases(asked, "dense") if case[0] == "gradients"} == {
        ("gradients", method) for method in ("", "lora", "activation_mask", "orthogonal")
    }


def test_methods_that_a_model_is_not_trained_with_are_left_out():
    base = {(job, "") for job in ALONE}
    assert set(cases(study(), "dense", trained_with=("lora",))) == base | {
        (job, "lora") for job in TRAINED | {"relearning"}
    }
    assert set(cases(study(), "dense", trained_with=())) == base
    assert set(cases(study(methods={}), "dense")) == base
    assert set(cases(study(orders={}), "dense")) == base, "no stage at all"


def test_the_last_stage_of_the_longest_order_is_the_fullest():
    """Method B keeps the subspaces of every domain before."""
    orders = {"short": ["code"], "long": ["code", "math", "medical", "general"]}
    methods = {"orthogonal": {"rank": 2, "max_rank": 2}}
    one, four, both = (
        cases(study(orders={name: orders[name] for name in names}, methods=methods), "dense")
        for names in (["short"], ["long"], ["short", "long"])
    )
    case = "train_adapter", "orthogonal"
    assert "subspaces" not in one[case] and four[case]["subspaces"] > 0
    assert both == four


def test_each_model_has_its_own():
    plan = study(("dense", "mixture"))
    weights = {model: cases(plan, model)["evaluate_checkpoint", ""]["weights"] for model in plan.shapes}
    assert weights == {model: 4 * shape.total for model, shape in plan.shapes.items()}
