"""Protection: planted sums give exact ratios, groups are the unit, old domains are pooled and told apart."""

import numpy as np
import pytest
from collect_stages import protection_columns
from planted_learning import splits, write_change
from probe_table import probe_table

from implicit_sparsity.passes.functional_change import QUANTITIES
from implicit_sparsity.storage.tables import read_table

NAMES = ["layers.0.mlp.down_proj", "layers.1.mlp.down_proj", "layers.1.self_attn.q_proj"]


def planted(documents=12):
    """Every document reads 4 and says 1 a weight; down changes it by .1, q by .2 (.5 of medical, which is
    new); of down 3 of 4 are held on select, 2 of 4 held out, of math 1 of 4."""
    values = {}
    for domain, split in splits(["code", "math", "medical"]):
        part = np.zeros((documents, len(NAMES), len(QUANTITIES)))
        part[..., QUANTITIES.index("input")], part[..., QUANTITIES.index("output")] = 4, 1
        held = 3 if split == "select" else 1 if domain == "math" else 2
        part[:, :2, QUANTITIES.index("protected_input")] = held
        part[..., QUANTITIES.index("change")] = [0.01, 0.01, 0.25 if domain == "medical" else 0.04]
        values[domain, split] = part
    return values


def table(tmp_path, values, groups=None):
    at = "nano", "orthogonal.o.seed0.stage3"
    store = write_change(tmp_path / "s.zarr", values, NAMES, NAMES[:2], *at, groups)
    probe_table(str(tmp_path / "t.csv"), probe="protection", functional_change=[store])
    return read_table(tmp_path / "t.csv")


def value(frame, kind, measure, inputs, layer=-1, domain=""):
    chosen = (frame["kind"] == kind) & (frame["measure"] == measure) & (frame["inputs"] == inputs)
    return frame[chosen & (frame["layer"] == layer) & (frame["domain"] == domain)]


def test_planted_ratios_are_exact_and_old_domains_pooled(tmp_path):
    frame = table(tmp_path, planted())
    for layer in (0, 1, -1):
        assert value(frame, "down", "change", "held_out", layer)["value"].item() == pytest.approx(0.1)
    assert value(frame, "q", "change", "new")["value"].item() == pytest.approx(0.5)
    assert value(frame, "all", "change", "made")["value"].item() == pytest.approx(0.02**0.5)
    assert value(frame, "down", "energy", "made")["value"].item() == pytest.approx(0.75)
    assert value(frame, "down", "energy", "held_out")["value"].item() == pytest.approx(3 / 8)
    assert value(frame, "down", "energy", "held_out", domain="math")["value"].item() == pytest.approx(1 / 4)
    assert (
        value(frame, "q", "energy", "held_out").empty and value(frame, "down", "output_energy", "made").empty
    )
    whole = value(frame, "all", "energy", "held_out")
    assert whole[["value", "weights"]].values.tolist() == [[pytest.approx(3 / 8), 2]], "of those of a promise"
    row = value(frame, "down", "change", "held_out")
    assert row[["n", "groups", "weights"]].values.tolist() == [[24, 12, 2]] and row["trusted"].all()
    assert row["low"].item() == pytest.approx(0.1) == row["high"].item(), "documents that are all alike"


def test_few_groups_are_counted_and_not_trusted(tmp_path):
    frame = table(tmp_path, planted(6), list("aabbcc"))
    row = value(frame, "down", "change", "held_out")
    assert row["groups"].item() == 3 and row["n"].item() == 12 and not row["trusted"].any()


def test_stages_get_a_column_a_kind(tmp_path):
    columns_of = protection_columns(table(tmp_path, planted()))
    assert list(columns_of) == [("nano", "orthogonal.o.seed0.stage3")]
    columns = columns_of["nano", "orthogonal.o.seed0.stage3"]
    assert columns["protection.down.energy_made"] == pytest.approx(0.75)
    assert columns["protection.q.change_new"] == pytest.approx(0.5)
    assert (columns["protection.n_made"], columns["protection.groups_made"]) == (24, 12)
    assert (columns["protection.n_new"], columns["protection.groups_new"]) == (12, 12)
    assert columns["protection.all.change_held_out"] == pytest.approx(0.02**0.5)
    assert "protection.q.energy_made" not in columns
