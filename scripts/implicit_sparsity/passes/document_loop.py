"""The loop over documents: padded batches through a network, each announced before it runs.

Who watches the network (``models.hooks.watching``) learns from the announcement which rows count and whose
they are. Shapes: T tokens of a document, B documents of a batch, S positions of the longest of them.
"""

import numpy as np
import torch

from implicit_sparsity.models.batching import PAD, sorted_batches
from implicit_sparsity.models.forward import hidden_states


def over_documents(model, ids, keeps, batch_tokens: int, begin, progress=iter, groups=None) -> int:
    """Run the network on documents, head left out; returns the number of padded positions.

    ids: int [T] a document; keeps: bool [T], which tokens count; groups: int [D], the group of each document.
    Before each batch ``begin(keep [B * S], group [B * S] or None, B)`` is called, both on the processor.
    """
    device = next(model.parameters()).device
    padding = 0
    with torch.inference_mode():
        for batch in progress(sorted_batches([len(tokens) for tokens in ids], batch_tokens)):
            longest = max(len(ids[i]) for i in batch)
            tokens = np.full((len(batch), longest), PAD, np.int64)
            mask, keep = np.zeros_like(tokens), np.zeros(tokens.shape, bool)
            group = None
            if groups is not None:
                group = torch.from_numpy(np.repeat(np.asarray(groups)[batch], longest))
            for row, i in enumerate(batch):
                n = len(ids[i])
                tokens[row, :n], mask[row, :n], keep[row, :n] = ids[i], 1, keeps[i]
            begin(torch.from_numpy(keep.ravel()), group, len(batch))
            padding += int((mask == 0).sum())
            hidden_states(model, torch.from_numpy(tokens).to(device), torch.from_numpy(mask).to(device))
    return padding
