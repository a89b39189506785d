"""One pass over the same documents by each contender, to the same statistics.

A contender is ``prepare(network)`` -> ``run(statistics, documents, keep)``. The peers see the batches of
``activation_pass.run`` and hand what they find to the same ``ActivationStatistics``, so that only how they
get at the activations differs. With ``keep`` they hold the activations of all batches first and reduce them
then, which is how a cache is used; without, they reduce batch by batch. Shapes: B documents of a batch, S
positions of the longest, T = B * S, D documents, n neurons of a layer.
"""

from dataclasses import dataclass


@dataclass
class Documents:
    """What is passed over: ids and keeps, one [T] a document, and the group of each, [D] or None."""

    ids: list
    keeps: list
    groups: object
    batch_tokens: int

    def batches(self):
        """(ids [B, S], mask [B, S], keep [T], group [T] or None) as ``activation_pass.run`` makes them."""
        import numpy as np
        import torch

        from implicit_sparsity.models.batching import PAD, sorted_batches

        for batch in sorted_batches([len(tokens) for tokens in self.ids], self.batch_tokens):
            longest = max(len(self.ids[i]) for i in batch)
            ids = np.full((len(batch), longest), PAD, np.int64)
            mask, keep = np.zeros_like(ids), np.zeros(ids.shape, bool)
            for row, i in enumerate(batch):
                n = len(self.ids[i])
                ids[row, :n], mask[row, :n], keep[row, :n] = self.ids[i], 1, self.keeps[i]
            group = None
            if self.groups is not None:
                group = torch.from_numpy(np.repeat(self.groups[batch], longest))
            yield torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(keep.ravel()), group


def backbone(network):
    """The plain forward pass, head left out: what no measurement can be faster than."""
    from implicit_sparsity.models import forward

    def run(statistics, documents, keep):
        for ids, mask, _, _ in documents.batches():
            forward.hidden_states(network, ids, mask)

    return run


def ours(network):
    from implicit_sparsity.passes import activation_pass

    def run(statistics, documents, keep):
        d = documents
        activation_pass.run(network, d.ids, d.keeps, statistics, d.batch_tokens, groups=d.groups)

    return run


def transformerlens(network, **options):
    """``run_with_cache`` of the neurons alone. It runs the whole language model; its attention is eager."""
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    folder = network.config._name_or_path
    bridge = TransformerBridge.boot_transformers(folder, hf_model=network, dtype=torch.float32, device="cpu")
    names = [f"blocks.{layer}.mlp.out.hook_in" for layer in range(len(bridge.blocks))]

    def watch(ids, mask, see):
        options["attention_mask"] = mask
        cache = bridge.run_with_cache(ids, names_filter=names, return_type=None, **options)[1]
        for layer, name in enumerate(names):
            see(layer, cache[name])

    return _reduced(watch)


def transformerlens_headless(network):
    """The same, told to compute the logits of one position only."""
    return transformerlens(network, logits_to_keep=1)


def nnsight(network):
    """A trace of the backbone, its head left out; reduced inside the trace unless kept."""
    from nnsight import NNsight

    traced = NNsight(network.model)
    layers = len(network.model.layers)

    def watch(ids, mask, see):
        with traced.trace(input_ids=ids, attention_mask=mask, use_cache=False):
            for layer in range(layers):
                see(layer, traced.layers[layer].mlp.down_proj.input)

    return _reduced(watch)


def _reduced(watch):
    """``watch(ids, mask, see)`` shows ``see`` each layer's activations [B, S, n] of one batch."""

    def run(statistics, documents, keep):
        held = []

        def reduce(layer, h):
            statistics.observe(statistics.blocks[layer], 0, None, h.detach().flatten(0, 1), None)

        def hold(layer, h):
            held.append((layer, h.detach()))

        for ids, mask, counted, group in documents.batches():
            if keep:
                held.append((None, (counted, group)))
                watch(ids, mask, hold)
            else:
                statistics.begin_batch(counted, group)
                watch(ids, mask, reduce)
            statistics.documents += len(ids)
        for layer, value in held:
            if layer is None:
                statistics.begin_batch(*value)
            else:
                reduce(layer, value)

    return run
