"""The loop of the host compiles wherever it runs."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SCRIPTS)}


def test_the_loop_compiles_where_nothing_can_be_kept():
    """Scripts and home that cannot be written to: machine code is made anew, and the sums are right."""
    code = """if True:
        import numba.core.caching as caching
        caching.CacheImpl._locator_classes = []
        import torch
        from implicit_sparsity.models.ffn import FeedForward
        from implicit_sparsity.passes.accumulators import ActivationStatistics
        statistics = ActivationStatistics([FeedForward(0, None, 8)])
        statistics._sum(0, 0, torch.ones(2, 8), torch.arange(2), None)
        print(statistics.sum_abs.tolist())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout.strip() == str([[2.0] * 8]), done.stderr
