"""Intervals at full size: 2,000 documents x 64 layers x 17,408 neurons, in time and memory.

Two domains with two halves of 500 documents each (planted sums, made layer by layer as a store is read),
IoU of the top 1 % and 10 % with intervals, hub-matched floor and permuted labels: what one pair of domains
takes. Goal: 4 GB, minutes. `python benchmarks/bootstrap.py [--layers 64]`; one thread.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import numpy as np

from implicit_sparsity.metrics import hub_floor, separation

NEURONS, DOCUMENTS, DRAWS = 17_408, 500, 48  # documents of each half


def planted(rng):
    """domain -> two halves of one layer, float32 sums [documents, neurons]."""
    hubs = rng.standard_normal(NEURONS, np.float32)
    result = {}
    for domain in ("a", "b"):
        use = hubs + 0.7 * rng.standard_normal(NEURONS, np.float32)
        result[domain] = []
        for _ in "ab":
            sums = np.exp(use + 0.8 * rng.standard_normal((DOCUMENTS, NEURONS), np.float32))
            counts = np.ones((DOCUMENTS, 1))
            result[domain].append(separation.Half(sums.mean(0, dtype=np.float64), sums, counts))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=64)
    layers, spent, seps = parser.parse_args().layers, 0.0, []
    for number in range(layers):
        halves = planted(np.random.default_rng(number))
        began = time.perf_counter()
        layer = separation.Layer(halves, DRAWS)
        use = np.mean([half.score for pair in halves.values() for half in pair], axis=0)
        for top in (174, 1741):
            floor = hub_floor.hub_matched_iou(use, top)
            measure = separation.iou(top / NEURONS, top, NEURONS, floor_hub=floor)
            seps += [parts["sep"] for a, b, parts in separation.compared(layer, measure) if a != b]
        spent += time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    _, low, high = np.array(seps).T
    print("| documents | layers | neurons | seconds | seconds a layer | peak GB | width of SEP |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {4 * DOCUMENTS} | {layers} | {NEURONS} | {spent:.0f} | {spent / layers:.2f} | {peak:.2f} "
        f"| {(high - low).mean():.4f} |"
    )


if __name__ == "__main__":
    main()
