"""The clock, the memory meter and the GPU: what is the same for every case.

On a GPU memory is the most that torch had allocated at once; on a CPU it is the largest resident size of the
process so far, which only says that the script runs.
"""

import gc
import resource
import subprocess
import time
from importlib import metadata
from pathlib import Path

GB = 1e9
PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "flash-linear-attention",
    "causal-conv1d",
    "triton",
)


class Meter:
    """Reads time and memory of one device."""

    def __init__(self, device: str):
        self.device, self.gpu = device, device == "cuda"

    def now(self) -> float:
        """Seconds, after all that was asked of the device is done."""
        if self.gpu:
            import torch

            torch.cuda.synchronize()
        return time.perf_counter()

    def forget_peak(self) -> None:
        if self.gpu:
            import torch

            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float:
        if self.gpu:
            import torch

            return torch.cuda.max_memory_allocated() / GB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB

    def clear(self) -> None:
        """Give back what a finished case held."""
        gc.collect()
        if self.gpu:
            import torch

            torch.cuda.empty_cache()

    def peak_flops(self, precision: str) -> tuple[float, str]:
        """(FLOP/s that utilisation is a share of, where that is from): the data sheet's of a known GPU, else
        what a large matrix product reaches here."""
        from implicit_sparsity.planning.gpus import GPUS, is_named

        for gpu, facts in GPUS.items():
            if self.gpu and is_named(gpu, gpu_name(self.device)):
                return facts.flops, "data sheet, dense bfloat16"
        return self._matrix_product(precision), "measured, matrix product"

    def _matrix_product(self, precision) -> float:
        import torch

        n = 8192 if self.gpu else 512
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        a = torch.randn(n, n, device=self.device, dtype=dtype)
        seconds = []
        for _ in range(6):
            started = self.now()
            a @ a
            seconds.append(self.now() - started)
        return 2 * n**3 / min(seconds)


def gpu_name(device: str) -> str:
    if device != "cuda":
        return "cpu"
    import torch

    return torch.cuda.get_device_name(0)


def versions(device: str) -> dict:
    """Of the packages that decide speed (None: not installed), of CUDA and of the driver."""
    result = {}
    for package in PACKAGES:
        try:
            result[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            result[package] = None
    if device == "cuda":
        import torch

        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
        result |= {"cuda": torch.version.cuda, "driver": _output(query)}
    return result


def commit(root: Path) -> str | None:
    """The commit of the working tree, with ``+`` where files differ from it."""
    head = _output(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"])
    return head and head + ("+" if _output(["git", "-C", str(root), "status", "--porcelain"]) else "")


def _output(command: list) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
