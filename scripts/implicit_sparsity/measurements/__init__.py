"""Passes over documents that fill stores: activations, gradients, representations, losses."""
