"""The activation pass and its peers, each in a process of its own: see ``benchmarks/probing.py``."""
