"""What is kept that Snakemake does not see: each entry under a key of all that it depends on.

    results/.output_cache/              finished outputs of a job, until the run is through (output_cache)
    results/evals/<model>/.finished/    scores of one checkpoint on one domain (evaluate_checkpoint)
    results/evals/<model>/.base_model/  what the base model made of the scored documents (kl_to_base)
    .partial-<output>-<key>/            restart points and downloads beside an output (``scratch``)
    scripts/__pycache__/                what was read of our own code (fingerprints)

An entry is whole or not there. Equal keys mean equal content, so processes on any machine may make the same
one at the same time, and one that is damaged is made anew.
"""

import shutil
from pathlib import Path

from implicit_sparsity.storage.files import new_file

from .identity import digest


def key(*depends) -> str:
    """Hex sha256 of the plain values that an entry depends on."""
    return digest(list(depends))


def load(path, read, damaged=()):
    """``read(path)``; None where there is none, or a damaged one: ``read`` raises one of ``damaged``."""
    try:
        return read(path)
    except (FileNotFoundError, *damaged):
        return None


def store(path, write, value) -> None:
    """Have ``write(temporary path, value)`` make an entry, and put it in its place whole."""
    with new_file(path, shared=True) as temporary:
        write(temporary, value)


def scratch(output, *depends) -> Path:
    """A folder beside ``output`` for work that may be cut off and resumed while ``depends`` stays.

    Snakemake does not know it, so it outlives a failed job. Leftovers under other keys belong to settings
    that are no longer wanted and are removed. Whoever finishes the work removes the folder.
    """
    output = Path(output)
    folder = output.parent / f".partial-{output.name}-{key(*depends)[:8]}"
    for other in sorted(output.parent.glob(f".partial-{output.name}-" + "[0-9a-f]" * 8)):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
