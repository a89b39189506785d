"""Found first on PYTHONPATH by the tests' Snakemake: asks for the state of jobs every two seconds.

Snakemake's SLURM plugin waits ten seconds more each time, up to three minutes, and has no setting for it.
"""

import asyncio
import sys

sys.modules["bitsandbytes"] = None  # as in tests/lean, whose file is hidden by this one
_sleep = asyncio.sleep


async def _briefly(delay, *more):
    return await _sleep(min(delay, 2), *more)


asyncio.sleep = _briefly
