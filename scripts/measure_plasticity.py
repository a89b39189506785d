"""A fixed task learned from one checkpoint, and ranks and dormant neurons of it: one store."""

import shutil

from implicit_sparsity.provenance import cache, identity
from implicit_sparsity.workflow import job

METADATA = {
    "before": (("task", "pair"), "loss of a pair before learning", "nats per token"),
    "after": (("task", "pair"), "loss of a pair after learning", "nats per token"),
    "curve": (("task", "step"), "mean loss after so many steps", "nats per token"),
    "effective_rank": (("domain", "layer", "left_out"), "effective rank of hidden states", "directions"),
    "stable_rank": (("domain", "layer", "left_out"), "stable rank of hidden states", "directions"),
    "dormant_share": (("domain", "tau", "layer", "left_out"), "share of dormant neurons", "1"),
    "sampled": (("domain",), "sampled hidden states of a layer", "tokens"),
}


def measure_plasticity(
    store, model, tokens, base, checkpoint, domains, options, adapter=None, name=None, code=""
):
    """Write the Zarr store of a (model, checkpoint); ``tokens``: token folders of ``domains``."""
    import numpy as np

    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.measurements import plasticity
    from implicit_sparsity.models import adapters, ffn
    from implicit_sparsity.storage.store import write_store

    network = adapters.load_checkpoint(model, adapter, base)
    block, result = ffn.feed_forwards(network)[0], {name: [] for name in METADATA}
    neuron = np.arange(block.size)
    experts = (
        np.where(neuron < block.experts * block.width, neuron // block.width, -1) if block.experts else None
    )
    for folder in tokens:
        shards = Tokens(folder)
        ids, keeps = plasticity.reference(
            shards.split("probe_a"), shards.index["special_ids"], options, folder
        )
        sample = options["positions"], options["batch_tokens"]
        hidden, owner, sums = plasticity.observe(network, ids, keeps, *sample)
        for measure, values in plasticity.ranks(hidden, owner).items():
            result[measure].append(values)
        result["dormant_share"].append(plasticity.dormant(sums, experts, options["tau"]))
        result["sampled"].append(len(owner))
    drawn = shards.index["vocab_size"], shards.index["special_ids"], options
    tasks = [plasticity.task(seed, *drawn) for seed in range(options["tasks"])]
    scratch = cache.scratch(store, checkpoint, options, code)
    result |= plasticity.learn(network, tasks, options, scratch)
    metadata = {"domain": "", "vocabulary": shards.index["vocab_size"], "hidden": hidden.shape[-1]}
    metadata |= {"tokens_sha256": identity.digest([Tokens(folder).index for folder in tokens])}
    title = "Plasticity of {model} ({checkpoint})"
    attrs = identity.attributes(
        title, model, name, checkpoint, options, code, "measure_plasticity", **metadata
    )
    arrays = {
        measure: (dims, np.asarray(result[measure]), {"long_name": long_name, "units": units})
        for measure, (dims, long_name, units) in METADATA.items()
    }
    coords = {
        "domain": (("domain",), np.array(domains), {"long_name": "domain of the documents", "units": "1"}),
        "layer": np.arange(len(ffn.feed_forwards(network))),
        "tau": (
            ("tau",),
            np.array(options["tau"], float),
            {"long_name": "dormant below tau * mean", "units": "1"},
        ),
    }
    write_store(store, arrays, coords, attrs)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    job.run(measure_plasticity, snakemake)
