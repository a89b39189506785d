"""Which promises the plan expects to be broken: caps against widths, samples against widths."""

import planned

from implicit_sparsity.planning import promises

WIDTH = planned.shape("dense").hidden


def lines(**options):
    methods = {"b": {"uses": "orthogonal"} | options, "b2": {"uses": "orthogonal"} | options, "lora": {}}
    study = planned.study(methods=methods)
    (model,) = study.shapes
    return promises.lines(study, model), study.shapes[model]


def test_a_cap_below_what_the_width_needs_is_expected_to_bind():
    made, shape = lines(max_rank=WIDTH // 4 - 1, sample_tokens=10**6)
    assert len(made) == 1 and made[0].startswith("b, b2: max_rank")
    assert "must be expected to bind" in made[0] and f"{shape.hidden:,}" in made[0]


def test_too_few_tokens_are_told_apart_from_a_cap():
    made, _ = lines(max_rank=10**6, sample_tokens=WIDTH - 1)
    assert made[0].startswith("b, b2: sample_tokens") and "bind" not in made[0]


def test_a_promise_that_can_be_kept_takes_no_line():
    assert lines(max_rank=10**6, sample_tokens=10**6)[0] == []
    assert lines(max_rank=4, fixed_rank=4, sample_tokens=10**6)[0] == [], "so many are asked for"
