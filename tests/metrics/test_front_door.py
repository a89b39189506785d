"""The estimators are for use without a study: the example of docs/measurements.md runs as it stands there."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs/measurements.md"


def test_the_example_of_the_docs_runs():
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[-1]
    names = {}
    exec(code, names)
    assert {"overlap", "gradients", "spectra", "sparsity", "continual", "intervals"} <= set(names)
    assert names["use"].shape == (2, 1000)
    same = names["overlap"].top_k_iou(names["use"][0], names["use"][0], k=100)
    assert np.allclose(same, 1.0)
