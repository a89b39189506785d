"""The drift measurement on nano networks whose states, routers and predictions moved by what is known."""

import shutil

import networks
import numpy as np
import pytest
import studies
import torch
import train_adapter
from measure import measure as run_measurement
from probe_table import probe_table
from safetensors.torch import load_file, save_file

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.options import load
from implicit_sparsity.passes import representations
from implicit_sparsity.storage.store import open_store
from implicit_sparsity.storage.tables import read_table

OPTIONS = {"documents": 6, "positions": 4, "directions": 3, "skip_first": 1, "batch_tokens": 200}
OUTPUTS = ("o_proj.weight", "out_proj.weight", "down_proj.weight", "experts.down_proj")


def changed(model, folder, change):
    """A whole model: the weights of ``model`` after ``change(name, tensor) -> tensor``."""
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    weights = {name: change(name, tensor).contiguous() for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def turned(name, weight, turn):
    """A weight of the network whose states are all those of the old one times ``turn [H, H]``."""
    if name.endswith(OUTPUTS):
        return turn.T @ weight
    inside = weight.shape[-1] == len(turn) and weight.dim() > 1 and "conv" not in name
    return weight @ turn if inside else weight


def measure(folder, nano, kind, adapter, previous=None, name="drift", **options):
    model, tokens = nano(kind)
    path = folder / f"{name}.zarr"
    two = ["code", "math"]
    run_measurement(
        str(path),
        str(model),
        [str(tokens[domain]) for domain in two],
        {},
        "drift",
        two,
        "lora.o.seed0.stage1",
        OPTIONS | options,
        adapter=str(adapter),
        previous=previous and str(previous),
        name="nano",
    )
    return open_store(path)


def signal(dataset, measure):
    """[reference, domain, layer]"""
    return dataset["drift"].sel(measure=measure, left_out=-1).values


def rows(dataset, probe="representation_drift"):
    import pandas as pd

    return pd.DataFrame(load("probes", probe).rows({"": dataset}))


@pytest.mark.parametrize("kind", ["dense", "mixture", "llama"])
def test_the_same_network_has_not_moved(nano, tmp_path, kind):
    same = changed(nano(kind)[0], tmp_path / "same", lambda name, weight: weight)
    result = measure(tmp_path, nano, kind, same)
    for name in ("relative_l2", "drift_excess"):
        assert (signal(result, name) == 0).all(), name
    for name, value in (("cosine", 1), ("cka", 1), ("cka_positions", 1)):
        assert signal(result, name) == pytest.approx(value, abs=1e-12)
    assert signal(result, "largest_angle").max() < 1e-7
    assert (result["kl_completion"] == 0).all()
    assert ("rerouted" in result) == (kind == "mixture")
    if kind == "mixture":
        assert (result["rerouted"] == 0).all()
    frame = rows(result)
    assert {"base"} == set(frame["reference"]) and {6} == set(frame["n"])
    reported = frame[
        (frame["quantity"] == "signal")
        & frame["measure"].isin(["relative_l2", "kl_content", "kl_completion"])
    ]
    assert (reported[["value", "low", "high"]] == 0).all(axis=None)


@pytest.mark.parametrize("kind", ["dense", "mixture", "llama"])
def test_a_rotation_of_all_states_is_seen_as_one(nano, tmp_path, kind):
    """Every state is the old one times Q: the same function, written in other directions."""
    turn = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    other = changed(nano(kind)[0], tmp_path / "turned", lambda n, w: turned(n, w, turn))
    result = measure(tmp_path, nano, kind, other)
    model, tokens = nano(kind)
    shards = Tokens(tokens["math"])
    reference = representations.reference(shards.split("probe_a"), shards.index["special_ids"], OPTIONS)
    old = representations.observe(loading.load(model), reference, 200).hidden
    expected = [np.linalg.norm(x @ (turn.numpy() - np.eye(32))) / np.linalg.norm(x) for x in old]
    assert signal(result, "relative_l2")[0, 1] == pytest.approx(expected, rel=1e-3)
    assert signal(result, "cka") == pytest.approx(1, abs=1e-4)
    assert signal(result, "relative_l2").min() > 0.5 and signal(result, "largest_angle").min() > 0.5
    assert result["kl_completion"].values.max() < 1e-5
    if kind == "mixture":
        split = result["rerouted"].mean(("reference", "domain", "document"))
        assert split.sel(split="both").max() < 0.02
        for half in ("states_old_router", "router_old_states", "states_new_router", "router_new_states"):
            assert split.sel(split=half).min() > 0.3, half


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_a_change_of_the_last_layer_is_seen_there_alone(nano, tmp_path, kind):
    """One output direction of the last layer's (shared) expert doubled: what is added has rank one."""
    name = "layers.3.mlp.shared_expert.down_proj" if kind == "mixture" else "layers.3.mlp.down_proj"

    def louder(weight_name, weight):
        if name not in weight_name:
            return weight
        weight = weight.clone()
        weight[5] *= 2
        return weight

    other = changed(nano(kind)[0], tmp_path / "louder", louder)
    result = measure(tmp_path, nano, kind, other)
    distance = signal(result, "relative_l2")
    assert (distance[..., :3] == 0).all() and distance[..., 3].min() > 0
    model, tokens = nano(kind)
    shards = Tokens(tokens["code"])
    reference = representations.reference(shards.split("probe_a"), shards.index["special_ids"], OPTIONS)
    old, new = (representations.observe(loading.load(folder), reference, 200) for folder in (model, other))
    moved = new.hidden[3] - old.hidden[3]
    assert np.abs(np.delete(moved, 5, axis=1)).max() < 1e-6 < np.abs(moved[:, 5]).max()
    assert distance[0, 0, 3] == pytest.approx(np.linalg.norm(moved) / np.linalg.norm(old.hidden[3]), rel=1e-5)
    assert result["kl_content"].values.min() > 1e-6
    if kind == "mixture":  # the routers of all layers saw what they had seen
        assert (result["rerouted"] == 0).all()
        shared = result["shared"].sel(share="shared_norm_share").mean(("domain", "document"))
        more = shared.sel(network="tuned") - shared.sel(network="base")
        assert (more.values[:3] == 0).all() and more.values[3] > 0


def test_divergence_is_exact_over_the_vocabulary(nano, tmp_path):
    model, tokens = nano("dense")
    random = torch.Generator().manual_seed(1)
    other = changed(model, tmp_path / "other", lambda n, w: w + 0.02 * torch.randn(w.shape, generator=random))
    result = measure(tmp_path, nano, "dense", other)
    document = Tokens(tokens["code"]).split("probe_a")[2]
    ids = torch.from_numpy(document.ids.astype(np.int64))[None]
    with torch.no_grad():
        logits = [loading.load(folder)(input_ids=ids).logits[0].double() for folder in (model, other)]
    p, q = (x.log_softmax(-1) for x in logits)
    wanted = ~document.prompt[1:]
    exact = (p.exp() * (p - q)).sum(-1)[:-1][torch.from_numpy(wanted)]
    for name, nats in (("completion", exact), ("content", exact[1:-1])):  # the last is a stop token
        assert float(nats.mean()) > 1e-3
        assert result[f"kl_{name}"].values[0, 2] == pytest.approx(float(nats.mean()), rel=1e-4)
        assert result[name].values[0, 2] == len(nats)


@pytest.fixture(scope="module")
def chain(nano, tmp_path_factory):
    """Two stages of LoRA on a mixture, without and with the router adapted: {router: [folder, folder]}."""
    model, tokens = nano("mixture")
    made = {}
    for router in (False, True):
        folder, previous = tmp_path_factory.mktemp("chain"), None
        for stage in (1, 2):
            path = folder / f"lora.o.seed0.stage{stage}"
            train_adapter.train_adapter(
                str(path),
                str(model),
                [str(tokens[name]) for name in ("code", "math")[:stage]],
                studies.recipe(
                    "lora", {"rank": 2, "router": router}, networks.TRAINING, ("code", "math")[:stage]
                ),
                previous,
            )
            previous = str(path)
            made.setdefault(router, []).append(path)
    return made


@pytest.mark.parametrize("router", [False, True])
def test_a_router_that_was_not_trained_reroutes_nothing(nano, tmp_path, chain, router):
    first, second = chain[router]
    result = measure(tmp_path, nano, "mixture", second, first)
    assert result["reference"].values.tolist() == ["base", "previous"]
    split = result["rerouted"].mean(("domain", "layer", "document"))
    for half in ("router_old_states", "router_new_states"):
        moved = split.sel(split=half).values
        assert (moved > 0).all() if router else (moved == 0).all(), half
    assert (split.sel(split="both") > 0).all()
    if not router:
        assert (split.sel(split="states_old_router") == split.sel(split="both")).all()
    assert 0.6 < result["rerouted_null"].mean() < 0.9, "two of eight experts, chosen unevenly"
    distance = result["drift"].sel(measure="relative_l2", left_out=-1)
    alone = measure(tmp_path, nano, "mixture", first, name="first")
    # base to the first stage, and on to the second: no further than the sum of both, in each layer and domain
    there = alone["drift"].sel(measure="relative_l2", left_out=-1, reference="base")
    assert (distance.sel(reference="base") > 0).all()
    assert (distance.sel(reference="previous") < 2 * (there + distance.sel(reference="base"))).all()


def test_tables_of_a_dense_and_a_mixture_and_equal_bytes(nano, tmp_path, chain):
    first, second = chain[False]
    measure(tmp_path / "moe", nano, "mixture", second, first)
    again = tmp_path / "again"
    measure(again, nano, "mixture", second, first)
    files = sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert len(files) > 20
    assert all((again / f).read_bytes() == (tmp_path / "moe" / f).read_bytes() for f in files)
    same = changed(nano("dense")[0], tmp_path / "same", lambda name, weight: weight)
    measure(tmp_path, nano, "dense", same, name="dense")
    for probe, stores in (("representation_drift", ["moe/drift", "dense"]), ("routing_drift", ["dense"])):
        paths = [str(tmp_path / f"{store}.zarr") for store in stores]
        if probe == "representation_drift":
            with pytest.raises(InputError, match="second store"):
                probe_table(str(tmp_path / "t.csv"), probe=probe, drift=paths)
            paths = paths[:1]
        probe_table(str(tmp_path / f"{probe}.csv"), probe=probe, drift=paths)
    lines = (tmp_path / "routing_drift.csv").read_text().splitlines()
    assert len(lines) == 1 and lines[0].startswith("model,revision,checkpoint,reference"), "dense: no rows"
    frame = read_table(tmp_path / "representation_drift.csv")
    assert set(frame["quantity"]) == {"signal", "unrelated", "floor"} and set(frame["n"]) == {6}
    reported = frame[(frame["quantity"] == "signal") & (frame["measure"] != "cka_positions")]
    assert reported[["low", "high"]].notna().all(axis=None)
    assert ((reported["low"] <= reported["value"]) & (reported["value"] <= reported["high"])).all()
    kl = frame[frame["measure"].isin(["kl_content", "kl_completion"])]
    assert kl["layer"].isna().all() and set(kl["unit"]) == {"nat"} and (kl["value"] > 0).all()


def test_too_few_documents_and_broken_weights_are_one_line(nano, tmp_path):
    model, _ = nano("dense")
    same = changed(model, tmp_path / "same", lambda name, weight: weight)
    with pytest.raises(InputError, match=r"24 documents.* 90 are wanted") as error:
        measure(tmp_path, nano, "dense", same, documents=90)
    assert "probes.drift.documents" in str(error.value) and "\n" not in str(error.value)

    def broken(name, weight):
        return weight * float("nan") if "layers.2.mlp.down_proj" in name else weight

    with pytest.raises(InputError, match="layer 2 are not finite"):
        measure(tmp_path, nano, "dense", changed(model, tmp_path / "nan", broken))
    assert not (tmp_path / "drift.zarr").exists()


def test_a_store_cut_short_is_one_line(nano, tmp_path):
    same = changed(nano("dense")[0], tmp_path / "same", lambda name, weight: weight)
    measure(tmp_path, nano, "dense", same)
    chunk = next(p for p in (tmp_path / "drift.zarr/kl_content/c").rglob("*") if p.is_file())
    chunk.unlink()
    with pytest.raises(InputError, match=r"damaged.*kl"):
        probe_table(str(tmp_path / "t.csv"), probe="representation_drift", drift=str(tmp_path / "drift.zarr"))


@pytest.mark.parametrize(
    "kind, routed, shared", [("some_dense", [0, 2], False), ("first_dense", [1, 2], True)]
)
def test_layers_without_a_router_have_no_routing(nano, tmp_path, kind, routed, shared):
    """Of the same network nothing is rerouted; dense layers drift like others and have no rows of routing."""
    model, _ = nano(kind)
    store = measure(tmp_path, nano, kind, shutil.copytree(model, tmp_path / "same"))
    table = rows(store, "routing_drift")
    assert sorted(set(table["layer"])) == routed and ("shared_norm_share" in set(table["measure"])) == shared
    changed = table[(table["measure"] == "changed") & (table["quantity"] == "signal")]
    assert len(changed) and (changed["value"] == 0).all()
    assert set(rows(store)["layer"]) >= {0, 1, 2}
