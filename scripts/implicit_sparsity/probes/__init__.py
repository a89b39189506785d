"""Probes: one measurement each, from the stores of one checkpoint to rows of a long table."""
