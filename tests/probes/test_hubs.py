"""Hubs: planted ones are counted, and where all documents are alike all are."""

import numpy as np
from planted import DOMAINS, planted_sets
from test_activation_overlap import table


def test_hubs_are_counted(tmp_path):
    """5 of 20 neurons of every domain are hubs; where all documents are alike, all 20."""
    result = table(tmp_path, "hubs", planted_sets(2, 200, 20, 5), options={"k": [20]})
    values = {q: part["value"].to_numpy() for q, part in result.groupby("quantity")}
    assert set(values["count"]) == {5} and set(values["signal"]) == {0.25}
    np.testing.assert_allclose(values["floor"], 0.1**3)
    np.testing.assert_allclose(values["neuron_share"], 5 / 200)
    assert (values["use_share"] > values["neuron_share"]).all()
    alike = dict.fromkeys(DOMAINS, next(iter(planted_sets(1, 200, 20, 5).values())))
    same = table(tmp_path / "same", "hubs", alike, options={"k": [20]})
    assert set(same.loc[same["quantity"].isin(["signal", "ceiling"]), "value"]) == {1.0}
