"""How many processes train a stage."""

from pathlib import Path

import pytest
from test_distributed import TRAINING

from implicit_sparsity import methods
from implicit_sparsity.options import load
from implicit_sparsity.training import launcher

ALL = sorted(p.stem for p in Path(methods.__file__).parent.glob("*.py") if p.stem not in ("__init__", "base"))


@pytest.mark.parametrize("name", ALL)
def test_a_method_with_an_audit_stays_whole(name):
    """Constrained steps are audited on whole weights, so such a method never trains on parts."""
    method = load("methods", name)
    assert not (method.constrained and method.sharded)
    assert launcher.process_count(2, method, TRAINING) == (2 if method.sharded else 1)
