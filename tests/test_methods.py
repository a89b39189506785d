"""Every method of methods/, on a dense hybrid and a mixture of experts; a new file inherits all of this."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import networks
import pytest
import torch
from safetensors.torch import load_file

from implicit_sparsity import methods
from implicit_sparsity.measurements import functional_change
from implicit_sparsity.measurements.base import Subject
from implicit_sparsity.models import adapters, ffn, forward, loading
from implicit_sparsity.options import load
from implicit_sparsity.passes import stage_change, write_energy
from implicit_sparsity.storage import files, tensors
from implicit_sparsity.training import audit, fit, trainer
from implicit_sparsity.training.stage import Stage
from implicit_sparsity.workflow import source

ROOM = Path(methods.__file__).parent
METHODS = sorted(p.stem for p in ROOM.glob("*.py") if p.stem not in ("__init__", "base"))
KINDS = ("dense", "mixture")
ROUTED = {m: source.class_literal(source.module_name("methods", m), "ROUTED") for m in METHODS}
PAIRS = [(kind, name) for name in METHODS for kind in KINDS if kind == "mixture" or not ROUTED[name]]
DOMAINS = ["code", "math"]
OPTIONS = {
    "activation_mask": {"fraction": 0.1, "protect": 0.1},
    "side_branch": {"fraction": 0.1},
    "selective_write": {"fraction": 0.1},
    "orthogonal": {"max_rank": 6},
    "structured_sparsity": {"learning_rate": 2e-3},
    "expert_mask": {"p": 0.4},
    "full": {"learning_rate": 1e-3},
    "ewc": {"documents": 4},
    "osf": {"learning_rate": 3e-3},
}
IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))


def logits(model, method=None):
    network = forward.base_network(model)
    with torch.no_grad():
        if method is None:
            return network(input_ids=IDS).logits
        with method.running(model):
            return network(input_ids=IDS).logits


def routers(model) -> list:
    return [ffn.base_layer(block.router) for block in ffn.feed_forwards(model) if block.experts]


@contextmanager
def routed(model):
    """What each router chooses meanwhile, a list a call."""
    chosen = []
    handles = [
        gate.register_forward_hook(lambda _m, _x, out: chosen.append(out[2].tolist()))
        for gate in routers(model)
    ]
    yield chosen
    for handle in handles:
        handle.remove()


def train(nano, kind, name, count, folder, previous=None, options=None, outputs=logits, **more):
    """Stage ``count`` of the order; returns (stage, method, result, outputs in training); the result has what
    routers then chose, too."""
    model, tokens = nano(kind)
    domains = DOMAINS[:count]
    here = Stage(
        str(model),
        domains,
        [tokens[d] for d in domains],
        0,
        networks.TRAINING | more,
        previous and str(previous),
    )
    method = load("methods", name, **(OPTIONS.get(name, {}) if options is None else options))
    result = fit.run_stage(here, method, folder.parent / f"{folder.name}.scratch")
    with routed(here.model) as result["routed"]:
        seen = outputs(here.model, method)
    with files.new_folder(folder) as new:
        here.save(method, new, result["state"])
    return here, method, result, seen


@pytest.fixture(scope="session")
def trained(nano, tmp_path_factory):
    """(kind, method) -> [stage 1, stage 2] as (folder, method, result, logits), each trained once in a
    precision."""
    place, made = tmp_path_factory.mktemp("methods"), {}

    def get(kind, name):
        key = kind, name, torch.get_default_dtype()
        if key not in made:
            previous, runs = None, []
            for count in (1, 2):
                folder = place / ".".join(map(str, (*key, count)))
                _, method, result, seen = train(nano, kind, name, count, folder, previous)
                runs.append((folder, method, result, seen))
                previous = folder
            made[key] = runs
        return made[key]

    return get


FORMS = [  # of feed-forward layers (``layouts``), each with methods that write to them in different ways
    ("plain", "activation_mask"),
    ("fused", "activation_mask"),
    ("fused", "structured_sparsity"),
    ("fused_glm", "orthogonal"),
    ("unshared_granite", "selective_write"),
    ("unshared_granite", "structured_sparsity"),
    ("unshared_mixtral", "expert_mask"),
    ("unshared_olmoe", "orthogonal"),
    ("some_dense", "activation_mask"),
    ("some_dense", "expert_mask"),
    ("some_dense", "curvature"),
    ("first_dense", "selective_write"),
    ("first_dense", "orthogonal"),
    ("first_dense", "structured_sparsity"),
    ("first_dense", "osf"),
]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name in FORMS if name in METHODS])
def test_every_form_of_feed_forward_layer_is_trained_and_saved(trained, nano, kind, name):
    """Two stages: what is declared alone moves, and what was saved computes what the stage computed."""
    for folder, _, result, seen in trained(kind, name):
        outcome = result["audit"]
        assert outcome["without_gradient"] == outcome["frozen_moved"] == 0
        again = logits(adapters.load_checkpoint(nano(kind)[0], folder))
        torch.testing.assert_close(again, seen, atol=2e-4, rtol=1e-3)
        assert not torch.allclose(again, logits(loading.load(nano(kind)[0])), atol=1e-2)


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_trains_what_it_declares_and_nothing_else(trained, kind, name):
    for count, (_, method, result, _) in enumerate(trained(kind, name), 1):
        outcome = result["audit"]
        assert outcome["without_gradient"] == outcome["frozen_moved"] == 0
        assert outcome["trainable_parameters"] > 0
        steps = 4 * (count if method.BUDGET == "domains" else 1)
        assert [row["step"] for row in result["curve"]] == list(range(1, steps + 1))


ONE_ALONE = [(kind, "lora", how) for kind in KINDS for how in ("packing", "gradient_checkpointing")]


@pytest.mark.parametrize("kind, name, how", [*((*pair, "both") for pair in PAIRS), *ONE_ALONE])
def test_saving_memory_changes_no_step(trained, nano, float64, kind, name, how, tmp_path):
    keys = ["packing", "gradient_checkpointing"] if how == "both" else [how]
    first, (_, _, plain, _) = trained(kind, name)[0][0], trained(kind, name)[1]
    here, _, result, _ = train(nano, kind, name, 2, tmp_path / "x", first, **dict.fromkeys(keys, True))
    for row, wanted in zip(result["curve"], plain["curve"], strict=True):
        # gradients round to 4e-14 (see workers.py), so weights to 4 * 1e-2 * 4e-14 / 1e-8 = 2e-7
        # where AdamW has nothing else to go by, and the loss to ten times that
        assert row["loss"] == pytest.approx(wanted["loss"], abs=1e-5)
        assert row["tokens"] == wanted["tokens"]
    if "gradient_checkpointing" in keys and kind == "mixture":
        assert result["audit"]["router_decisions"] > 0 and result["audit"]["router_flips"] == 0
    assert not forward.base_network(here.model).is_activation_checkpointing, "left as it was found"


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_second_stage_holds_its_promise_on_every_step(trained, kind, name):
    _, method, result, _ = trained(kind, name)[1]
    if not method.constrained:
        pytest.skip("the method promises nothing")
    outcome = result["audit"]
    assert outcome["constraint_steps_audited"] == 4
    assert outcome["constraint_violation_max_step"] <= 1e-5 and outcome["constraint_violation_total"] <= 1e-5


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_adapter_changes_the_model(trained, nano, kind, name):
    base = logits(loading.load(nano(kind)[0]))
    first, second = (seen for *_, seen in trained(kind, name))
    assert not torch.allclose(base, first, atol=1e-3) and not torch.allclose(first, second, atol=1e-3)


def test_adapters_load_with_peft_alone_and_whole_models_with_transformers(trained, nano, tmp_path):
    """A fresh process without our code gets the logits of training, from the folder and merged.

    Routers are held to their choice of then: where two experts tie, rounding alone may turn one token in ten.
    """
    wanted = {}
    for kind, name in PAIRS:
        for folder, _, result, seen in trained(kind, name):
            whole = not load("methods", name).adapter
            assert whole == (folder / "config.json").exists() != (folder / "adapter_config.json").exists()
            wanted[str(folder)] = (not whole and str(nano(kind)[0]), seen.tolist(), result["routed"])
    (tmp_path / "wanted.json").write_text(json.dumps({"ids": IDS.tolist(), "wanted": wanted}))
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "wanted.json")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == len(wanted) == 2 * len(PAIRS)


FRESH = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
given = json.load(open(sys.argv[1]))
ids, seen = torch.tensor(given["ids"]), 0

def hold(chosen, output):
    logits, weights, own = output
    assert (own.sort(-1).values == chosen.sort(-1).values).all(-1).float().mean() > 0.9
    shares = logits.softmax(-1).gather(-1, chosen)
    return logits, shares / shares.sum(-1, keepdim=True), chosen

for folder, (base, wanted, routed) in given["wanted"].items():
    if base:
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
        forms = [lambda: model, lambda: model.merge_and_unload()]
    else:
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        forms = [lambda: model]
    gates = [module for name, module in model.named_modules() if name.endswith(".mlp.gate")]
    assert len(gates) == len(routed), folder
    for gate, chosen in zip(gates, map(torch.tensor, routed)):
        gate.register_forward_hook(lambda _m, _x, output, chosen=chosen: hold(chosen, output))
    with torch.no_grad():
        for form in forms:
            got = form()(input_ids=ids).logits
            assert torch.allclose(got, torch.tensor(wanted), atol=1e-3, rtol=1e-3), folder
    seen += 1
assert not [m for m in sys.modules if m.startswith("implicit_sparsity")]
print(json.dumps(seen))
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [m for m in METHODS if hasattr(load("methods", m), "strength")])
def test_zero_strength_is_plain_lora_to_the_bit(trained, nano, kind, name, tmp_path):
    previous = None
    for count in (1, 2):
        folder = tmp_path / str(count)
        train(nano, kind, name, count, folder, previous, {"strength": 0.0})
        ours = load_file(folder / "adapter_model.safetensors")
        lora = load_file(trained(kind, "lora")[count - 1][0] / "adapter_model.safetensors")
        assert ours.keys() == lora.keys() and all(torch.equal(ours[k], lora[k]) for k in lora)
        previous = folder


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_state_survives_save_and_load(trained, kind, name):
    folder, _, result, _ = trained(kind, name)[1]
    loaded = tensors.load_state(folder)
    assert loaded.keys() == result["state"].keys()
    assert all(torch.equal(loaded[k], result["state"][k].cpu()) for k in loaded)


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_killed_stage_resumes_to_the_same_bytes(trained, nano, kind, name, tmp_path, monkeypatch):
    """Cut off inside step 3 of 4, with a checkpoint at step 2; then run again."""
    folder, scratch = tmp_path / "adapter", tmp_path / "adapter.scratch"
    first = trained(kind, name)[0][0]
    whole, steps = audit.Audit.before_step, []

    def killed(self, step):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        whole(self, step)

    monkeypatch.setattr(audit.Audit, "before_step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(nano, kind, name, 2, folder, first, checkpoint_every=2)
    assert not folder.exists() and trainer.last_checkpoint(scratch).name == "checkpoint-2"
    _, _, result, _ = train(nano, kind, name, 2, folder, first, checkpoint_every=2)
    undisturbed, _, wanted, _ = trained(kind, name)[1]
    assert steps == [0, 1, 2, *range(2, len(wanted["curve"]))], "it must continue at step 3, not begin again"
    files = sorted(path.name for path in undisturbed.iterdir())
    assert "state.safetensors" in files and len(files) > 2
    for file in files:
        assert (folder / file).read_bytes() == (undisturbed / file).read_bytes()
    assert result["curve"] == wanted["curve"] and result["audit"] == wanted["audit"]


def changed(trained, nano, kind, name):
    """(dW by weight, network before, record, stage before or None) of the second stage."""
    (first, *_), (second, method, *_) = trained(kind, name)
    before = first if method.STARTS == "previous" else None
    model = nano(kind)[0]
    changes = stage_change.changes(second, before, model)
    study = {"method": name, "trained_domains": DOMAINS, "seed": 0}
    record = {"study": study, "options": OPTIONS.get(name, {}), "training": networks.TRAINING}
    network = adapters.load_checkpoint(model, before and str(before))
    return changes, network, record, before


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_what_a_stage_changed_is_the_difference_of_merged_weights(trained, nano, kind, name):
    changes, network, *_ = changed(trained, nano, kind, name)
    after = adapters.load_checkpoint(nano(kind)[0], str(trained(kind, name)[1][0]))
    new, old = (dict(model.named_parameters()) for model in (after, network))
    wrote = 0
    for plain, change in changes.items():
        names = [f"model.{plain}", f"model.{plain}.weight"]
        key = next(n for n in names if n in old)
        grown = old[key].shape != new[key].shape  # a side branch
        assert not grown or name == "side_branch"
        wanted = new[key].detach().double()
        wanted[tuple(map(slice, old[key].shape))] -= old[key].detach().double()
        got = change.matrix().double().reshape(wanted.shape)
        assert (got - wanted).norm() <= 1e-5 * wanted.norm() + 1e-6 * old[key].norm()
        assert change.energy() ** 0.5 == pytest.approx(float(got.norm()), rel=1e-5, abs=1e-9)
        wrote += got.norm() > 0
    assert wrote > 4
    same = [n for n, p in old.items() if n in new and p.shape == new[n].shape and (p != new[n]).any()]
    assert {write_energy.plain(n) for n in same} <= changes.keys()


PROMISES = {"orthogonal", "osf", "expert_mask", "activation_mask"}


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_nothing_is_written_where_a_method_says_that_it_keeps_off(trained, nano, kind, name):
    changes, network, record, before = changed(trained, nano, kind, name)
    subject = Subject(str(nano(kind)[0]), {}, "x", {})
    protected = functional_change.protection(record, network, changes, subject, before and str(before))
    assert bool(protected) == (name in PROMISES | {"curvature", "o_lora"})
    for weight, guard in protected.items():
        assert ((guard.weights >= 0) & (guard.weights <= 1 + 1e-9)).all()
        if name not in PROMISES:
            continue
        dw = changes[weight].matrix().double()
        if guard.basis is not None:
            written, used = dw @ guard.basis.double(), guard.weights > 0
            assert used.any()
        else:
            written = dw if guard.side == "input" else dw.mT
            used = guard.weights.expand(len(dw), written.shape[2]) > 0
            assert name == "expert_mask" or used.any()
        assert (written * used[:, None, :]).norm() <= 1e-4 * dw.norm()
