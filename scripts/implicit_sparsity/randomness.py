"""Separate, named streams of random numbers, so that one source of chance can change while the others
stay."""

import hashlib


def stream_seed(seed: int, *names: str) -> int:
    """Seed of the stream ``names`` ("initialisation", "order", "replay", "probe" ...) of a run with this
    ``seed``.

    A hash rather than an offset: neighbouring seeds and streams share nothing, and a new stream moves no old
    one. Returns an integer below 2**31, which NumPy, torch and transformers all take.
    """
    return _hash("/".join([str(int(seed)), *names])) >> 1


def derive_seed(seed: int, *names: str) -> int:
    """The same for corpora, below 2**32: which documents are drawn depends on it, so it stays as it is."""
    return _hash(":".join([str(seed), *names]))


def _hash(text: str) -> int:
    """The first four bytes of a SHA-256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
