"""Implicit sparsity: probes of which parts of a language model each domain uses, and methods that write into
the rest.

The library knows nothing of Snakemake or SLURM: every public function takes and returns plain files and
values.
"""
