"""Separate, named streams of random numbers, so that one source of chance can change while the others
stay."""

import hashlib


def stream_seed(seed: int, *names: str) -> int:
    """Seed of the stream ``names`` ("initialisation", "order", "replay", "probe" ...) of a run with this
    ``seed``.

    A hash rather than an offset: neighbouring seeds and streams share nothing, and a new stream moves no old
    one. Returns an integer below 2**31, which NumPy, torch and transformers all take.
    """
    digest = hashlib.sha256("/".join([str(int(seed)), *names]).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def derive_seed(seed: int, *names: str) -> int:
    """A 32-bit seed of its own for each purpose: the first bytes of sha256 over the seed and the names."""
    return int.from_bytes(hashlib.sha256(":".join([str(seed), *names]).encode()).digest()[:4], "big")
