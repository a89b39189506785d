"""Two processes train what one would: losses, weights, restart points that any number of them reads."""

import json

import pytest
import torch
import workers
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from workers import assert_same_stage, curve, forked, logits, train, weights  # noqa: F401 (a fixture)

from implicit_sparsity.models import adapters, losses
from implicit_sparsity.models.processes import local
from implicit_sparsity.training import audit, launcher, sharding, trainer


@pytest.fixture(scope="session")
def alone(nano, tmp_path_factory):
    """(kind, method) -> the folder that one process leaves, and the folder of a second stage after it; to be
    called in float64."""
    place, made = tmp_path_factory.mktemp("alone"), {}

    def get(kind, method):
        if (kind, method) not in made:
            first = train(nano, kind, method, 1, place / f"{kind}.{method}.1")
            made[kind, method] = first, train(nano, kind, method, 1, place / f"{kind}.{method}.2", first)
        return made[kind, method]

    return get


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("kind", ["dense", "mixture"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_two_processes_train_what_one_does(nano, alone, float64, tmp_path, kind, method):
    one, two = alone(kind, method)[0], train(nano, kind, method, 2, tmp_path / "two")
    assert_same_stage(one, two)
    base = nano(kind)[0]
    torch.testing.assert_close(logits(two, base), logits(one, base), atol=1e-5, rtol=0)
    records = [json.loads((folder / "stage.json").read_text()) for folder in (one, two)]
    assert records[0]["audit"] == records[1]["audit"] and records[0]["audit"]["without_gradient"] == 0
    assert [record["measured"]["processes"] for record in records] == [1, 2]
    assert records[0]["training"]["completion_tokens"] == records[1]["training"]["completion_tokens"]
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["two"], "scratch is gone"


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
@pytest.mark.parametrize(("kind", "method"), [("mixture", "full"), ("dense", "lora")])
def test_another_number_of_processes_goes_on(
    nano, alone, float64, tmp_path, monkeypatch, kind, method, first, then
):
    """A second stage, cut off inside step 3 of 4 with a restart point at step 2, then run again."""
    previous, whole = alone(kind, method)
    monkeypatch.setattr(sharding, "FILE_BYTES", 5000)  # many files
    before, steps = audit.Audit.before_step, []

    def cut_off(self, step):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        before(self, step)

    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, launcher.WorkerFailed)):
        patch.setattr(audit.Audit, "before_step", cut_off)
        train(nano, kind, method, first, tmp_path / "x", previous)
    (scratch,) = tmp_path.glob(".partial-x-*")
    assert trainer.last_checkpoint(scratch).name == "checkpoint-2" and not (tmp_path / "x").exists()
    assert len(list(scratch.glob("checkpoint-2/part-*.safetensors"))) > 4
    pickles = {path.name.partition("_state")[0] for path in scratch.glob("*/*.pt*")}
    assert pickles <= {"rng"}, "weights and moments are safetensors"
    assert_same_stage(whole, train(nano, kind, method, then, tmp_path / "x", previous))


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_saves_memory_works_on_parts_too(nano, float64, tmp_path, monkeypatch, method):
    """Layers computed again, documents packed, the head in chunks."""
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 320 * 7)
    more = {"gradient_checkpointing": True, "packing": True}
    one, two = (train(nano, "mixture", method, n, tmp_path / str(n), **more) for n in (1, 2))
    assert_same_stage(one, two)
    assert json.loads((two / "stage.json").read_text())["audit"]["router_decisions"] > 0


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_bfloat16(nano, tmp_path, method):
    """Adapters compute in bfloat16, ``full`` with its float32 weights; both save in the base's precision."""
    one, two = (train(nano, "dense", method, n, tmp_path / str(n), precision="bf16") for n in (1, 2))
    for a, b in zip(curve(one), curve(two), strict=True):
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), rel=1e-2)
    ours, theirs = weights(one), weights(two)
    assert {t.dtype for t in ours.values()} == {t.dtype for t in theirs.values()}
    if method == "full":
        assert {t.dtype for t in theirs.values()} == {torch.bfloat16}
        assert adapters.load_checkpoint(nano("dense")[0], two, {"precision": "bf16"}).dtype == torch.bfloat16


def layers(seed=0):
    """Weights of 7 and of 2 rows, of which three ranks hold 3 3 1 and 1 1 0; a bias of them is frozen."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 7), torch.nn.Linear(7, 2)).double()
    model[0].bias.requires_grad_(False)
    return model


def optimizer_of(model, steps=0):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        model(torch.tensor([[1.0, -2, 3]], dtype=torch.float64)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return optimizer


def held(model, optimizer):
    """{what: the rows that this process holds} of what a restart point is to bring back."""
    result = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            state = optimizer.state[p]
            for what, tensor in (("weight", p.detach()), *sorted(state.items())):
                result[f"{what} {name}"] = local(tensor).reshape(-1).tolist()
    return result


def read_back(place, model):
    """What is held of a restart point by a model that had other numbers before."""
    optimizer = optimizer_of(model)
    sharding.load_weights(place, model)
    sharding.load_moments(place, model, optimizer)
    return held(model, optimizer)


def parted(count, seed=0):
    return fully_shard(layers(seed), mesh=init_device_mesh("cpu", (count,)))


def test_what_three_ranks_wrote_two_and_one_read(tmp_path):
    place, whole = tmp_path / "parts", layers()
    place.mkdir()

    def save(rank):
        model = parted(3)
        sharding.save_parts(place, model, optimizer_of(model, 2))

    workers.together(3, save, tmp_path / "three")
    assert [f.name for f in sorted(place.iterdir())] == [f"part-0000{r}-00000.safetensors" for r in range(3)]
    files = [load_file(path) for path in sorted(place.iterdir())]
    assert [[len(file[f"exp_avg.{n}.weight"]) for file in files] for n in (0, 1)] == [[3, 3, 1], [1, 1, 0]]
    assert all("weight.0.bias" not in file for file in files), "what is frozen is not written"

    wanted, alone = held(whole, optimizer_of(whole, 2)), read_back(place, layers(1))
    first, second = workers.together(2, lambda _: read_back(place, parted(2, 1)), tmp_path / "two")
    assert alone.keys() == wanted.keys() and len(wanted) == 3 * 4
    for name, numbers in wanted.items():
        assert alone[name] == pytest.approx(numbers, rel=1e-9), name
        joined = first[name] if name.startswith("step") else first[name] + second[name]
        assert joined == pytest.approx(numbers, rel=1e-9), name


def test_a_restart_point_comes_in_files_of_the_size_that_is_told(tmp_path, monkeypatch):
    """Three parameters with their moments, each more than 16 bytes; the last file has what is left."""
    model = layers()
    optimizer = optimizer_of(model, 1)
    wanted = held(model, optimizer)
    monkeypatch.setattr(sharding, "FILE_BYTES", 16)
    sharding.save_parts(tmp_path, model, optimizer)
    assert [len(load_file(path)) for path in sorted(tmp_path.iterdir())] == [4, 4, 4, 0]
    assert read_back(tmp_path, layers(1)) == wanted


def test_a_parameter_that_had_no_gradient_yet_has_no_moments_to_bring_back(tmp_path):
    """It is for the audit, at the end, to say that none ever came."""

    def with_idle(model, number):
        model.idle = torch.nn.Parameter(torch.tensor([number], dtype=torch.float64))
        return model

    model = with_idle(layers(), 1.0)
    sharding.save_parts(tmp_path, model, optimizer_of(model, 1))
    result = read_back(tmp_path, with_idle(layers(1), 0.0))
    assert {what: x for what, x in result.items() if "idle" in what} == {"weight idle": [1]}
    assert result["step 1.bias"] == [1]


def test_a_loss_goes_through_the_root_where_weights_lie_in_parts(tmp_path):
    def outputs(rank=0):
        model, seen = torch.nn.Linear(1, 1, bias=False).requires_grad_(False), []
        model.weight.fill_(3)
        with pytest.raises(KeyError), sharding.through_the_root(model, lambda x: x + 1):
            seen.append(model(torch.ones(1)).item())
            raise KeyError
        return [*seen, model(torch.ones(1)).item()]

    assert outputs() == [3, 3], "one process needs no way round"
    assert workers.together(2, outputs, tmp_path / "two") == [[2, 3], [2, 3]]
