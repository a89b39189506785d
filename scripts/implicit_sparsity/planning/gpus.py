"""GPUs: memory, arithmetic and bandwidth as their makers state them.

Sources: NVIDIA's data sheets "A100 Tensor Core GPU" (SXM4 columns), "H100 Tensor Core GPU" (SXM5) and "H200
Tensor Core GPU" (SXM). FLOP/s are those of dense bfloat16 matrix products, without sparsity. Memory is what
torch reports as total on such a GPU, a little less than the name says.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One GPU; memory in bytes, FLOP/s of dense bfloat16 products and of plain float32, bytes/s."""

    memory: float
    flops: float
    flops32: float
    bandwidth: float


GIB = 2**30
GPUS = {
    "a100_40gb": Gpu(39.4 * GIB, 312e12, 19.5e12, 1.555e12),
    "a100_80gb": Gpu(79.2 * GIB, 312e12, 19.5e12, 2.039e12),
    "h100_80gb": Gpu(79.1 * GIB, 989e12, 67e12, 3.35e12),
    "h200": Gpu(139.8 * GIB, 989e12, 67e12, 4.8e12),
}


def is_named(gpu: str, device: str) -> bool:
    """Whether a device that calls itself ``device`` ("NVIDIA H100 80GB HBM3") is a GPU of ``GPUS``, whatever
    its memory: speed does not depend on that."""
    return gpu.split("_")[0] in re.split(r"\W+", device.lower())


UTILISATION = {"train": 0.35, "probe": 0.4}  # share of FLOP/s where neither measured nor configured
CONTEXT = 1.0e9  # bytes of the CUDA context, cuBLAS workspaces and compiled kernels
FRAGMENTATION = 0.05  # of all that is allocated and freed again
