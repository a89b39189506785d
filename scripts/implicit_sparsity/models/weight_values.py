"""The numbers of a model's weights, read a part at a time: are they finite, and not all zero?"""

import logging

import numpy as np

from implicit_sparsity.storage.model_folder import ModelFolder
from implicit_sparsity.storage.tensors import DTYPES, Tensors

log = logging.getLogger(__name__)
LARGEST = float(np.finfo(np.float32).max)  # what a float64 may be, to be a number in float32 as well


def check_values(folder: ModelFolder, opened: dict[str, Tensors]) -> list[str]:
    """Names of matrices that are zero throughout; InputError for a tensor with a value that is not finite,
    and where the embedding or more than half of the matrices are zero, as in a file that never came whole.

    ``opened``: {file: its tensors}. Norms and biases may be zero: some models store them so.
    """
    zero, matrices = [], 0
    for file, tensors in opened.items():
        for name in tensors:
            if tensors.kind(name) not in DTYPES:
                continue
            largest = tensors.largest(name)
            if not largest <= LARGEST:
                raise folder.refuse(f"has a value that is not finite ({largest:g})", file, name)
            if len(tensors.shape(name)) > 1 and "bias" not in name and 0 not in tensors.shape(name):
                matrices += 1
                zero += [(file, name)] * (largest == 0)
    bad = [place for place in zero if place[1].endswith("embed_tokens.weight")] or zero
    if bad is not zero or 2 * len(zero) > matrices:
        words = f"is zero throughout, as are {len(zero)} of {matrices} matrices: the weights never came whole"
        raise folder.refuse(words, *bad[0])
    for file, name in zero:
        log.warning("%s: %s is zero throughout", file, name)
    return [name for _, name in zero]
