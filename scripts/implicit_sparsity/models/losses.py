"""Cross-entropy under a head of a quarter million words, without its logits in memory all at once.

Shapes: N positions, H hidden width, V vocabulary.

torch's own ``linear_cross_entropy`` chunks too, but gives the loss in the precision of its input: in bfloat16
that is 11.25 where 11.23 is meant. Here logits are widened to float32 chunk by chunk.
"""

import torch
from torch.utils.checkpoint import checkpoint

from implicit_sparsity.corpora.tokens import LOSSES

from . import forward

LOGITS_AT_ONCE = 2**27  # float32 values of one chunk: 512 MiB, 540 positions of a 248,320-word vocabulary


def token_nats(model, hidden, targets):
    """-log p(target) in nats of each position, float32 [N]; hidden [N, H], targets int64 [N].

    Where more than one chunk is needed and a gradient is wanted, a chunk's logits are computed again in the
    backward pass, so that one chunk is the most that is ever held.
    """
    head = forward.head(model)

    def nats(part, wanted):
        logits = head(part).float()
        return torch.nn.functional.cross_entropy(logits, wanted.to(logits.device), reduction="none")

    rows = max(1, LOGITS_AT_ONCE // head.weight.shape[0])
    if len(targets) <= rows:
        return nats(hidden, targets)
    pairs = zip(hidden.split(rows), targets.split(rows), strict=True)
    return torch.cat([checkpoint(nats, *pair, use_reentrant=False) for pair in pairs])


def completion_nats(model, batch):
    """(nats of each completion token [N], its row in the batch [N]); see ``batching.collate`` for batches."""
    hidden = forward.hidden_states(model, **forward.inputs(batch))
    labels = batch["labels"].to(hidden.device)  # where several GPUs share a network, its end is on the last
    wanted = labels != -100
    nats = token_nats(model, hidden[wanted], labels[wanted])
    return nats, wanted.nonzero()[:, 0].to(nats.device)


def by_part(nats, counts) -> dict[str, float]:
    """{loss_content, loss_first, loss_stop, loss_completion: mean nats} of the parts that have a token; nats
    and counts, float64 [4]: sums over tokens, a number for each of ``corpora.tokens``' constants."""
    sums = {part: (nats[at].sum(), counts[at].sum()) for part, at in LOSSES.items()}
    return {f"loss_{part}": float(total / count) for part, (total, count) in sums.items() if count}


def completion_loss(model, batch):
    """Mean cross-entropy in nats over the batch's completion tokens; the head runs on their positions
    alone."""
    return completion_nats(model, batch)[0].mean()
