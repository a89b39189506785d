"""Metrics and estimators: NumPy or a long table in, numbers out. Imports the root of the project alone."""
