"""The parts of benchmarks/gpu.py: networks of random weights, steps of training, passes, the clock."""
