"""Seconds and highest memory of the phases of one process.

On a GPU memory is the most that torch had allocated; on a CPU the largest resident size (VmHWM, started anew
for each phase), packages and weights included.
"""

import ctypes
import functools
import gc
import time
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20


class MemoryMeter:
    """``phases``: {name: {seconds, cpu_seconds, peak_mb}}; of a phase that comes again, sums and the largest
    peak. Processor time says more than the clock's where other work shares the machine."""

    def __init__(self):
        import torch

        self.phases, self.gpu = {}, torch.cuda.is_available()

    def around(self, name: str, function):
        """The function, measured as a phase whenever it is called."""

        @functools.wraps(function)
        def measured(*args, **kwargs):
            self._forget()
            started, busy = self._now(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = {"seconds": self._now() - started, "cpu_seconds": time.process_time() - busy}
                before = self.phases.get(name, {})
                summed = {key: before.get(key, 0.0) + value for key, value in took.items()}
                peak = max(before.get("peak_mb", 0.0), self._peak_mb())
                self.phases[name] = summed | {"peak_mb": peak}

        return measured

    @contextmanager
    def watching(self, name: str, owner, *functions):
        """Functions of a class, measured as a phase while the context lasts."""
        before = {key: getattr(owner, key) for key in functions}
        for key, function in before.items():
            setattr(owner, key, self.around(name, function))
        try:
            yield
        finally:
            for key, function in before.items():
                setattr(owner, key, function)

    def _now(self) -> float:
        if self.gpu:
            import torch

            torch.cuda.synchronize()
        return time.perf_counter()

    def _forget(self) -> None:
        """Give freed memory back and start the peak anew, or an earlier phase would be measured."""
        gc.collect()
        if self.gpu:
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        else:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")

    def _peak_mb(self) -> float:
        if self.gpu:
            import torch

            return torch.cuda.max_memory_allocated() / MIB
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
