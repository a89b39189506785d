"""The estimate of a whole study as text, of a handful of jobs whose seconds are known."""

import planned
import pytest

from implicit_sparsity.planning import estimates, plan
from implicit_sparsity.planning.costs import Job

H200 = {"card": "h200", "price_per_hour": 3.0, "currency": "EUR"}
NOTES = {"warning": "", "measured": []}
STAGE = {"model": "dense", "method": "lora", "order": "forward", "seed": "0"}


def job(number, rule, after=(), **wildcards):
    return Job(number, rule, wildcards, tuple(after))


def trained(number, stage, after=()):
    return job(number, "train_adapter", after, **STAGE, stage=str(stage))


SCORED = [
    job(n, "evaluate_checkpoint", model="dense", checkpoint=f"lora.forward.seed0.stage{n}") for n in (1, 2)
]
DRAWN = [job(n, "draw_figure", figure=name) for n, name in ((3, "hubs"), (4, "rounds"))]
RAN = {
    ("evaluate_checkpoint", "dense.lora.forward.seed0.stage1"): (3600.0, 500.0),
    ("draw_figure", "hubs"): (7.0, 90.0),
}


def test_seconds_are_measured_but_on_a_gpu():
    """Of a job that did not run, the mean of its kind; of a kind that never ran, the estimate."""
    made = job(5, "collect_scores")
    bare = planned.study()
    seconds = estimates.seconds_of(bare, [*SCORED, *DRAWN, made], RAN)
    assert seconds == {1: 3600, 2: 3600, 3: 7, 4: 7, 5: bare.cost(made).seconds}
    more = RAN | {("draw_figure", "rounds"): (9.0, 90.0)}
    assert estimates.seconds_of(bare, [*DRAWN, job(6, "draw_figure", figure="overview")], more) == {
        3: 7,
        4: 9,
        6: 8,
    }
    study = planned.study(hardware=H200)
    assert estimates.seconds_of(study, SCORED, RAN)[1] == study.cost(SCORED[0]).seconds != 3600


def cells(text) -> list[list[str]]:
    """Rows of a Markdown table, without its head."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines()[2:]]


def test_wall_clock_is_of_all_and_of_what_is_left():
    """Two hours of scoring, one of them done: in all 2 and 1 hours one after the other, 1 and 1 beside."""
    study = planned.study()
    chain = [SCORED[0], Job(2, SCORED[1].rule, SCORED[1].wildcards, (1,))]
    clock = cells(estimates.wall_clock(study, SCORED, SCORED[1:], RAN))
    assert clock == [["1", "2.00", "1.00"]] + [[n, "1.00", "1.00"] for n in "248"]
    clock = cells(estimates.wall_clock(study, chain, chain[1:], RAN))
    assert clock == [[n, "2.00", "1.00"] for n in "1248"], "the first is done and not waited for"
    clock = cells(estimates.wall_clock(study, SCORED, [], RAN))
    assert {row[2] for row in clock} == {"0.00"}


def test_jobs_without_a_model_share_nothing():
    tables = {("draw_figure", name): (3600.0, 1.0) for name in ("hubs", "rounds")}
    assert cells(estimates.wall_clock(planned.study(), DRAWN, DRAWN, tables))[0] == ["1", "1.00", "1.00"]


def test_a_job_of_more_cards_than_there_are_does_not_fit():
    study = planned.study(hardware=H200 | {"cards": 3, "cards_per_job": {"dense": 3}})
    clock = cells(estimates.wall_clock(study, [trained(0, 1)], [], {}))
    assert [row[0] for row in clock] == ["1", "2", "3", "4", "8"]
    assert [row[1] == "does not fit" for row in clock] == [True, True, False, False, False]


def test_before_the_first_job_nothing_is_known_without_hardware():
    line = "No wall-clock: no `hardware` is configured and no job has run yet."
    assert estimates.wall_clock(planned.study(), SCORED, SCORED, {}) == line


def test_what_is_left_is_counted_by_kind():
    study, left = planned.study(), [*SCORED, trained(0, 1), *DRAWN[:1]]
    assert estimates.remaining(study, [], {}) == "Still to do: nothing."
    counted = "4 jobs (1 draw_figure, 2 evaluate_checkpoint, 1 train_adapter)"
    assert estimates.remaining(study, left, {}) == f"Still to do: {counted}."
    study = planned.study(hardware=H200, training={"steps": 10**9})
    spent = sum(study.cost(job).seconds for job in left[:3]) / 3600  # of the figure no GPU's
    assert spent > 3
    line = estimates.remaining(study, left, {})
    assert line == f"Still to do: {counted}, {spent:.1f} GPU hours, {3 * spent:.0f} EUR."


def test_a_rule_has_its_estimate_and_what_was_measured():
    study = planned.study(hardware=H200)
    jobs = [trained(0, 1), *SCORED, *DRAWN]
    stages = {("train_adapter", "dense.lora.forward.seed0.stage1"): {"peak_memory_mb": 2500.0}}
    ran = RAN | {("train_adapter", "dense.lora.forward.seed0.stage1"): (100.0, 800.0)}
    rows = {row[0]: row[1:] for row in cells(estimates.rules(study, jobs, ran, stages))}
    assert list(rows) == ["draw_figure", "evaluate_checkpoint", "train_adapter", "in all"]
    assert rows["train_adapter"][0] == "1" and rows["train_adapter"][-2:] == ["100 (n=1)", "2.50"]
    assert rows["evaluate_checkpoint"][-2:] == ["3600 (n=1)", "0.50"]
    assert rows["draw_figure"] == ["2", "0", "0", "0.0", "0", "15", "7 (n=1)", "0.09"]
    assert rows["in all"][0] == "5"
    unmeasured = {row[0]: row for row in cells(estimates.rules(study, jobs, {}, {}))}
    assert unmeasured["train_adapter"][-2:] == ["", ""]


@pytest.mark.parametrize(("eval_tokens", "fits"), [(512, True), (10**9, False)])
def test_the_fullest_moment_fits_or_says_what_helps(eval_tokens, fits):
    study = planned.study(hardware=H200, evals={"batch_tokens": eval_tokens})
    checkpoints = {"trained": [], "measured": {}}
    made = plan.of_model(study, "dense", checkpoints, NOTES)
    (line,) = estimates.budgets(study, "dense", made)
    most = max(made["memory"].values(), key=lambda parts: parts["total"])["total"]
    assert f"{most / 1e9:.1f} GB of {study.gpu.memory / 1e9:.1f}" in line
    assert ("DOES NOT FIT; smallest change that fits: evals.batch_tokens: " in line) is not fits


def test_the_text_has_every_part_and_counts_no_rule_that_makes_nothing():
    ends = [job(9, "all", after=(1, 2, 3, 4))]
    jobs, checkpoints = [*SCORED, *DRAWN, *ends], {"dense": {"trained": [], "measured": {}}}
    notes = NOTES | {"warning": "slow"}
    study = planned.study(hardware=H200 | {"budget": {"dense": {"total_hours": [5, 6]}}})
    text = estimates.text(study, notes, checkpoints, jobs, ends, results="nowhere")
    assert text.startswith("Warning: slow\n\n## Jobs\n\n| rule") and "Still to do: nothing." in text
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "## Jobs",
        "## dense",
        "## Growth",
    ]
    assert "On disk: models " in text and "| total hours" in text and "below" in text
    bare = estimates.text(planned.study(), NOTES, checkpoints, jobs, ends, results="nowhere")
    assert bare.startswith("## Jobs") and "## dense" not in bare and "No wall-clock" in bare
