"""What a measurement takes: work and memory, told from its class's passes."""

import pytest
from planned import COMPARED, CONFIG, DOMAINS, LENGTH, shape, study

from implicit_sparsity.options import load
from implicit_sparsity.planning import measuring, work
from implicit_sparsity.workflow import measures, source

SPEED = 67e12 * 0.4  # of an H200 in float32, at the share of its FLOP/s that is assumed for passes
H200 = {"card": "h200"}


def test_a_pass_without_the_head_takes_the_body_of_every_token():
    tokens, flops, seconds = measuring.cost(study(), "dense", "activations", 0)
    each = CONFIG["probes"]["activations"]["tokens"]
    assert tokens == 2 * each and seconds == 0, "without hardware hours are not told"
    assert flops == pytest.approx(tokens * work.body_flops(shape("dense"), LENGTH / 2))
    timed = measuring.cost(study(hardware=H200), "dense", "activations", 0)
    assert timed == (tokens, flops, pytest.approx(flops / SPEED))


@pytest.mark.parametrize(("stage", "networks"), [(1, 2), (4, 3)])
def test_networks_after_the_first_are_read_from_disk(stage, networks):
    """Drift: the base, the stage before where there is one, and the stage, each with its head."""
    plan = study(hardware=H200, probes={"drift": {"documents": 8}})
    tokens, flops, seconds = measuring.cost(plan, "dense", "drift", stage)
    assert tokens == networks * DOMAINS * 8 * LENGTH
    dense = shape("dense")
    each = work.body_flops(dense, LENGTH / 2) + 2 * dense.hidden * dense.vocabulary
    assert flops == pytest.approx(tokens * each)
    assert seconds == pytest.approx(flops / SPEED + (networks - 1) * 4 * dense.total / 1e9)


def test_the_reference_set_is_taken_by_drift_and_by_few_others():
    """One domain of those that there are is the reference: drift takes all as before, others one less."""
    name = next(iter(study().config["domains"]))
    plain, apart = study(), study()
    plain.config["reference"], apart.config["reference"] = False, name
    everything = len(plain.config["domains"])
    assert measuring.cost(apart, "dense", "drift", 1) == measuring.cost(plain, "dense", "drift", 1)
    task = CONFIG["probes"]["plasticity_task"]
    own = task["tasks"] * task["steps"] * task["pairs"] * (task["prompt"] + task["completion"])
    tokens = [measuring.cost(each, "dense", "plasticity_task", 0)[0] - own for each in (plain, apart)]
    assert tokens[1] / tokens[0] == pytest.approx((everything - 1) / everything)


def test_training_and_a_pass_add_up():
    """Two tasks of six steps on eight rows of 16 tokens, then six documents of each domain."""
    plan = study(hardware=H200, probes={"plasticity_task": {"documents": 6}})
    tokens, flops, seconds = measuring.cost(plan, "dense", "plasticity_task", 0)
    assert tokens == 2 * 6 * 8 * 16 + 6 * COMPARED * LENGTH
    passing = 6 * COMPARED * LENGTH * work.body_flops(shape("dense"), LENGTH / 2)
    trained = flops - passing
    assert 2 < trained / (2 * 6 * 8 * 16 * work.body_flops(shape("dense"), 8)) < 6
    assert seconds == pytest.approx(passing / SPEED + trained / (67e12 * 0.35)), "each at its own utilisation"


@pytest.mark.parametrize("stage", [0, 3])
def test_what_is_taught_again_is_counted_by_the_domains_that_are_old(stage):
    """Stage 3: two old domains and an unrelated one are taught 50 documents; 12 of each old one are scored
    before, after 10 and after 50, after the unrelated ones, and at its own stage. Base: 10 of all but one."""
    taught_again = {"documents": [10, 50], "relearn": [10], "scored": 12}
    plan = study(hardware=H200, probes={"relearning": taught_again})
    tokens, flops, seconds = measuring.cost(plan, "dense", "relearning", stage)
    old, taught, scorings = (2, 3 * 50, 5) if stage else (DOMAINS - 1, (DOMAINS - 1) * 10, 2)
    scored = old * scorings * 12
    assert tokens == (taught + scored) * LENGTH
    each = work.evaluation_flops(shape("dense"), scored * LENGTH, LENGTH)
    loads = old * 4 * shape("dense").total / 1e9 if stage else 0
    assert seconds == pytest.approx(each / SPEED + (flops - each) / (67e12 * 0.35) + loads)


def test_documents_that_were_counted_count():
    probes = {"drift": {}, "plasticity_task": {"documents": 6}}
    long, short = (study(lengths=lengths, probes=probes) for lengths in ({}, {"dense": LENGTH / 4}))
    assert measuring.cost(long, "dense", "drift", 1)[0] == 4 * measuring.cost(short, "dense", "drift", 1)[0]
    own, rest = 2 * 6 * 8 * 16, 6 * COMPARED * LENGTH / 4  # the rows of the task have their own length
    assert measuring.cost(short, "dense", "plasticity_task", 0)[0] == own + rest


def test_the_fullest_pass_counts():
    """Few positions: the training, with its optimizer; many: the pass, which has none."""

    def parts(batch_tokens):
        probes = {"plasticity_task": {"batch_tokens": batch_tokens}}
        return measuring.peak(study(probes=probes), "dense", "plasticity_task")

    assert parts(1) == parts(LENGTH) and "optimizer" in parts(LENGTH)
    few, many = parts(10**6), parts(2 * 10**6)
    assert "optimizer" not in few and many["working"] == 2 * few["working"]


def test_a_batch_holds_at_least_one_document():
    """h of 64 neurons: kept in 4 bytes, |h| and its square in 4, a mark, and a tenth of 8."""
    small = measuring.peak(study(probes={"activations": {"batch_tokens": 1}}), "dense", "activations")
    assert small["observed"] == pytest.approx(LENGTH * 64 * (4 + 8 + 1 + 0.8))
    large = measuring.peak(
        study(probes={"activations": {"batch_tokens": 8 * LENGTH}}), "dense", "activations"
    )
    assert large["observed"] == 8 * small["observed"] and large["statistics"] == small["statistics"]


def test_gradients_are_taken_without_an_optimizer():
    parts = measuring.peak(study(), "dense", "gradients")
    assert "optimizer" not in parts and parts["gradients"] > 0
    assert parts["total"] == pytest.approx(sum(size for part, size in parts.items() if part != "total"))


def test_a_measurement_trains_rows_of_its_own_on_one_gpu():
    large = {"batch_size": 64, "packing": True, "gradient_checkpointing": True}
    other = study(training=large, hardware=H200 | {"cards_per_job": {"dense": 8}})
    for name in ("gradients", "plasticity_task"):
        assert measuring.peak(study(), "dense", name) == measuring.peak(other, "dense", name)


@pytest.mark.parametrize(("name", "part"), [("gradients", "earlier stages"), ("activations", "adapter")])
def test_the_adapter_of_a_checkpoint_lies_beside_weights_in_bfloat16(name, part):
    """In float32 it is added to them."""
    for precision, there in (("bf16", True), ("fp32", False)):
        plan = study(precision=precision)
        lora = plan.methods["dense", "lora"]
        base, trained = (measuring.peak(plan, "dense", name, *of) for of in ((), (lora, 2)))
        assert part not in base and trained.get(part, 0) == 4 * lora.parameters * there


@pytest.mark.parametrize("name", source.available("measurements"))
def test_the_workflow_reads_what_the_class_says(name):
    read, made = measures.of({name: {}})[name], load("measurements", name)
    assert (read.scope, read.needs, read.minutes) == (made.SCOPE, made.NEEDS, made.MINUTES)
    assert read.how == made.settings()
