"""Recovery: planted stores where nothing, half and all of what was forgotten comes back."""

import numpy as np
import pandas as pd
import pytest
from planted import one
from planted_recovery import relearning_store, write_table
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import load
from implicit_sparsity.storage.store import open_store
from implicit_sparsity.storage.tables import read_table

DOMAINS = ("code", "math", "medical")


def table(tmp_path, **planted):
    rng = np.random.default_rng(0)
    write_table(tmp_path / "t.csv", tmp_path, rng, ["nano"], ["lora"], [0], DOMAINS, **planted)
    return read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("back", [0.0, 0.5, 1.0])
def test_the_planted_share_comes_back(tmp_path, back):
    frame = table(tmp_path, back=back)
    frame = frame[frame["checkpoint"] != "base"]
    for domain, n in (("code", 24), ("math", 24), ("all", 48)):
        part = frame[frame["domain"] == domain]
        for source, documents, share in (
            ("own", 10, back / 2),
            ("own", 50, back),
            ("unrelated", 50, back / 5),
        ):
            row = one(part, source=source, documents=documents, quantity="share")
            assert row["value"] == pytest.approx(share, abs=0.03) and row["low"] < row["high"]
            assert (row["n"], row["groups"], row["trusted"], row["unit"]) == (n, 12, True, "1")
        forgotten = one(part, quantity="forgotten")
        assert forgotten["value"] == pytest.approx(0.4, abs=0.1) and forgotten["low"] > 0
        for source, documents in (("own", 10), ("own", 50), ("unrelated", 50)):
            back_and_not = (
                one(part, source=source, documents=documents, quantity=name)["value"]
                for name in ("recovered", "remaining")
            )
            assert sum(back_and_not) == pytest.approx(forgotten["value"]), "spurious and real make the whole"
    assert set(frame["unrelated"]) == {"knowledge"}


def test_losses_and_what_the_base_model_gains_are_beside_it(tmp_path):
    frame = table(tmp_path)
    for domain in ("code", "math", "all"):
        part = frame[frame["domain"] == domain]
        base, tuned = part[part["checkpoint"] == "base"], part[part["checkpoint"] != "base"]
        gained = one(base, source="own", documents=50, quantity="recovered")
        assert gained["value"] == pytest.approx(0.1, abs=0.02)
        loss = {key: one(tuned, source=key[0], documents=key[1], quantity="loss_content")["value"]
                for key in (("", 0), ("own_stage", 0), ("own", 50))}  # fmt: skip
        forgotten = one(tuned, quantity="forgotten")["value"]
        assert loss["", 0] - loss["own_stage", 0] == pytest.approx(forgotten)
        of_base = one(base, source="own", documents=50, quantity="loss_content")["value"]
        savings = one(tuned, source="base", documents=50, quantity="savings")["value"]
        assert savings == pytest.approx(of_base - loss["own", 50])
        above = one(tuned, source="base", documents=50, quantity="remaining")["value"]
        assert above == pytest.approx(of_base - loss["own_stage", 0])
        assert not (base["quantity"] == "share").any(), "the base model has forgotten nothing"


def test_nothing_forgotten_has_no_share_and_few_groups_no_trust(tmp_path):
    frame = table(tmp_path, forgotten=0.0, groups=6, each=4)
    shares = frame[frame["quantity"] == "share"]
    assert len(shares) == 9 and shares["value"].isna().all()
    assert not frame["trusted"].any() and set(frame["groups"]) == {6}


def test_no_base_model_no_comparison_with_it(tmp_path):
    rng, at = np.random.default_rng(0), "lora.main.seed0.stage3"
    store = relearning_store(tmp_path / "s.zarr", rng, "nano", at, ["code", "math"])
    probe_table(str(tmp_path / "t.csv"), probe="recovery", relearning=[store], relearning_base=[])
    frame = read_table(tmp_path / "t.csv")
    assert "savings" not in set(frame["quantity"]) and len(frame[frame["quantity"] == "share"]) == 9
    probe_table(str(tmp_path / "e.csv"), probe="recovery", relearning=[], relearning_base=[])
    assert read_table(tmp_path / "e.csv", empty=True).empty, "an order of one domain has nothing old"


def test_a_document_without_content_does_not_count_and_a_loss_that_is_not_finite_is_refused(tmp_path):
    rng, at = np.random.default_rng(0), "lora.main.seed0.stage3"
    store = open_store(relearning_store(tmp_path / "s.zarr", rng, "nano", at, ["code", "math"]))

    def changed(place, value):
        """Rows where losses of a document, also after its own stage, are ``value``."""
        loss, own = (store[name].copy(deep=True) for name in ("loss_content", "own_stage"))
        loss[place], own[place[0], place[-1]] = value, value
        given = {"": store.assign(loss_content=loss, own_stage=own)}, {}
        return pd.DataFrame(load("probes", "recovery").rows(*given))

    frame = changed((0, slice(None), slice(None), 3), np.nan)
    counts = frame.groupby("domain")["n"].agg(set)
    assert counts["code"] == {23} and counts["math"] == {24}
    with pytest.raises(InputError, match="not finite"):
        changed((0, 0, 2, 3), np.nan)
    with pytest.raises(InputError, match="not finite"):
        changed((0, 0, 0, 3), np.inf)
