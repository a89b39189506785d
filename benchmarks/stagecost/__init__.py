"""What a stage of each method costs; see ``benchmarks/training.py``."""
