"""Where a number comes from: from a figure or a table back to the corpus, read from a results folder alone.

    graph.py    what an artifact says of itself, or Snakemake's record of it, or what was kept of one left out
    facts.py    the words for each kind of artifact: model@revision, data, licence, method, checkpoint
    tree.py     the printed tree

``python -m implicit_sparsity.provenance.explaining FILE`` (``make explain FILE=...``) needs the standard
library alone.
"""
