"""The activation pass under one control, of the base model: one activation store a domain."""

from pathlib import Path

from implicit_sparsity.provenance import identity
from implicit_sparsity.workflow import job
from implicit_sparsity.workflow.progress import progress


def measure_control(stores, model, tokens, base, domains, control, options, name=None, code=""):
    """Write the Zarr stores of all domains under a control, see ``implicit_sparsity.passes.controls``.

    options: of the measurement ``activations``; tokens: token folders, one a domain; stores: paths, one a
    domain.
    """
    from implicit_sparsity.corpora.encoding import Encoder, Options
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.models import adapters, ffn
    from implicit_sparsity.options import load
    from implicit_sparsity.passes import activation_pass, controls
    from implicit_sparsity.storage.store import write_store

    measurement = load("measurements", "activations", **options)
    options, title = measurement.settings(), measurement.TITLE
    network = adapters.load_checkpoint(model, None, base)
    blocks, shards = ffn.feed_forwards(network), dict(zip(domains, map(Tokens, tokens), strict=True))
    index = next(iter(shards.values())).index
    shape = Options(index["template"], index["max_length"], index["min_completion"])
    encoder = Encoder(Path(model) / "tokenizer.json", shape)
    template = encoder.before, encoder.between, encoder.after
    halves = {(d, half): shards[d].split(f"probe_{half}") for d in domains for half in ("a", "b")}
    taken = controls.budgets(control, halves, template, index["special_ids"], options, encoder.bos)
    for domain, path in zip(domains, stores, strict=True):
        result = []
        for half in ("a", "b"):
            bar, where = progress(f"{domain} {half}, {control}"), shards[domain].folder
            result.append(activation_pass.measure(network, blocks, taken[domain, half], options, bar, where))
        metadata = {"domain": domain, "control": control}
        metadata |= {"tokens_sha256": identity.digest(shards[domain].index)}
        attrs = identity.attributes(title, model, name, "base", options, code, "measure_control", **metadata)
        write_store(path, *activation_pass.as_store(result, blocks, options), attrs)


if __name__ == "__main__":
    job.run(measure_control, snakemake)
