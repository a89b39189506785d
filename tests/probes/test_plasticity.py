"""Plasticity: planted dead neurons are found, a dead half learns slower, base against itself is zero."""

import numpy as np
import planted_learning
import pytest
from measure import measure as run_measurement
from planted import DOMAINS, one
from probe_table import probe_table

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.passes import plasticity
from implicit_sparsity.probes.plasticity import steps_to
from implicit_sparsity.storage.store import open_store
from implicit_sparsity.storage.tables import read_table

OPTIONS = {
    "tasks": 2,
    "pairs": 6,
    "prompt": 4,
    "completion": 4,
    "steps": 6,
    "rank": 4,
    "learning_rate": 0.02,
    "documents": 6,
    "positions": 8,
    "tau": [0.0, 0.1],
    "skip_first": 1,
    "batch_tokens": 256,
    "gradient_checkpointing": False,
}
TWO = ("code", "math")


def measure(nano, kind, store, model=None, checkpoint="base", **options):
    folder, tokens = nano(kind)
    paths = [str(tokens[domain]) for domain in TWO]
    what = {}, "plasticity_task", TWO, checkpoint, OPTIONS | options
    run_measurement(str(store), str(model or folder), paths, *what, name="nano")
    return store


def table(tmp_path, *stores, **options):
    paths = [str(store) for store in stores]
    given = {"plasticity_task": paths, "plasticity_task_base": [path for path in paths if "base" in path]}
    probe_table(str(tmp_path / "t.csv"), probe="plasticity", options=options, **given)
    return read_table(tmp_path / "t.csv")


def with_dead_neurons(folder, source, share=0.5):
    """The network with rows and columns of the first neurons of every layer at zero: no gradient wakes
    them.
    """
    import shutil

    import torch

    shutil.copytree(source, folder)
    network = loading.load(folder, device="cpu")
    with torch.no_grad():
        for layer in network.model.layers:
            n = int(share * layer.mlp.gate_proj.weight.shape[0])
            for weight in (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight):
                weight[:n] = 0
            layer.mlp.down_proj.weight[:, :n] = 0
    network.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_base_against_itself_is_zero_and_the_same_bytes(nano, tmp_path, kind):
    stores = [
        measure(nano, kind, tmp_path / name, checkpoint=c)
        for name, c in (("base.zarr", "base"), ("x.zarr", "x.y"))
    ]
    for path in (tmp_path / "base.zarr").rglob("c/**/*"):
        if path.is_file():
            assert (
                path.read_bytes()
                == (tmp_path / "x.zarr" / path.relative_to(tmp_path / "base.zarr")).read_bytes()
            )
    frame = table(tmp_path, *stores)
    difference = frame[frame["quantity"] == "difference"]
    assert set(difference["checkpoint"]) == {"x.y"}
    known = difference["value"].dropna()
    assert len(known) > 20 and (known == 0).all() and (difference["high"].dropna() == 0).all()
    floor = one(frame, quantity="floor", measure="loss_after")
    assert (floor["checkpoint"], floor["value"]) == ("x.y", 0)
    learned = one(frame, quantity="signal", measure="learned", checkpoint="base")
    assert learned["value"] > 0 and learned["n"] == 12, "the task is learned"
    assert learned["groups"] == 2 and not learned["trusted"], "two tasks are two groups of pairs"
    curve = frame[(frame["measure"] == "curve") & (frame["checkpoint"] == "base") & (frame["task"] == 0)]
    after = open_store(stores[0])["after"].values
    assert curve["step"].tolist() == list(range(7)) and curve["value"].iloc[-1] == pytest.approx(
        after[0].mean()
    )


def test_a_half_that_is_dead_is_found_and_learns_slower(nano, tmp_path):
    folder, _ = nano("llama")
    dead = with_dead_neurons(tmp_path / "dead", folder)
    more = {"steps": 25, "tasks": 3}
    stores = (
        measure(nano, "llama", tmp_path / "base.zarr", **more),
        measure(nano, "llama", tmp_path / "d.zarr", dead, "d.x", **more),
    )
    metadata = [open_store(store).attrs["model_sha256"] for store in stores]
    assert metadata[0] == metadata[1], "one base model"
    frame = table(tmp_path, *stores)
    share = frame[
        (frame["measure"] == "dormant_share") & (frame["tau"] == 0) & (frame["quantity"] == "signal")
    ]
    assert set(share.loc[share["checkpoint"] == "d.x", "value"]) == {0.5}
    assert set(share.loc[share["checkpoint"] == "base", "value"]) == {0.0}
    worse = one(frame, measure="loss_after", quantity="difference")
    floor = one(frame, measure="loss_after", quantity="floor")["value"]
    assert worse["low"] > 0 and worse["value"] > floor


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_the_floor_is_that_of_the_paired_difference(tmp_path, spread):
    """Tasks lie nats apart, and are slower by 0.3 each (give or take ``spread``): their levels drop out."""
    rng, effects = np.random.default_rng(0), 0.3 + spread * np.array([-1.0, 0, 1, 0, -1, 1])
    level = np.linspace(1, 5, 6)[:, None] + rng.normal(size=(6, 4))
    stores = []
    for name, after in (("base", level), ("x.y", level + effects[:, None])):
        curve = np.linspace(7, after.mean(axis=1), 4).T
        arrays = {"before": level + 2, "after": after, "curve": curve}
        stores.append(planted_learning.write_task(tmp_path / f"{name}.zarr", arrays, "nano", name))
    frame = table(tmp_path, *stores)
    difference = one(frame, measure="loss_after", quantity="difference")
    floor = one(frame, measure="loss_after", quantity="floor")
    assert difference["value"] == pytest.approx(0.3)
    assert floor["value"] == pytest.approx(effects.std(ddof=1), abs=1e-12)
    reach = 2.5706 * effects.std(ddof=1) / 6**0.5  # Student's t of six tasks
    assert difference["high"] - difference["value"] == pytest.approx(reach, rel=1e-4, abs=1e-9)
    assert (difference["n"], difference["groups"]) == (24, 6) == (floor["n"], floor["groups"])
    levels = one(frame, measure="loss_after", quantity="signal", checkpoint="base")
    assert levels["high"] - levels["low"] > 2, "which scatter"


def test_steps_are_read_off_between_two_steps():
    assert steps_to([4.0, 3.0, 1.0], 2.0) == 1.5
    assert steps_to([4.0, 3.0, 1.0], 5.0) == 0 and steps_to([4.0, 3.0], 3.0) == 1
    assert np.isnan(steps_to([4.0, 3.0], 2.0))


def test_what_does_not_fit_is_one_line(nano, tmp_path):
    _, tokens = nano("llama")
    shards = Tokens(tokens["code"])
    with pytest.raises(InputError, match=r"24 documents .* 25 are wanted"):
        plasticity.reference(shards.split("probe_a"), [], OPTIONS | {"documents": 25}, tokens["code"])
    base = measure(nano, "llama", tmp_path / "base.zarr")
    other = measure(nano, "llama", tmp_path / "o.zarr", checkpoint="x.y", steps=3)
    with pytest.raises(InputError, match="other options"):
        table(tmp_path, base, other)
    assert DOMAINS[:2] == TWO
