"""One measurement of a checkpoint, by its name in the config: one store."""

import contextlib
import shutil

from implicit_sparsity.provenance import cache, identity
from implicit_sparsity.workflow import job
from implicit_sparsity.workflow.progress import progress


def measure(
    store,
    model,
    tokens,
    base,
    measurement,
    domains,
    checkpoint,
    options,
    domain="",
    adapter=None,
    previous=None,
    earlier=(),
    orders=None,
    reference="",
    name=None,
    code="",
    **stores,
):
    """Write the Zarr store of a (model, checkpoint), or of one domain's documents at it.

    tokens: token folders of ``domains``; domain: whose documents are measured, "" for those of all;
    options: of the measurement's class; the others as in ``measurements.base.Subject``.
    """
    from implicit_sparsity.measurements.base import Subject
    from implicit_sparsity.options import load
    from implicit_sparsity.storage.store import write_store

    chosen = load("measurements", measurement, **options)
    shards = _shards(domains, job.listed(tokens))
    stores = {need: stores[need] for need in chosen.NEEDS if need in stores}
    subject = Subject(model, base, checkpoint, shards, domain, adapter, previous, stores, orders or {})
    subject.earlier, subject.reference, subject.progress = job.listed(earlier), reference, progress
    index = {each: shards[each].index for each in ([domain] if domain else domains)}
    described = chosen.TITLE, model, name, checkpoint, chosen.settings(), code
    rule = "measure_domain" if domain else "measure_checkpoint"
    key = store, identity.weights_digest(model), checkpoint, chosen.settings(), code
    with _scratch(*key) as subject.scratch:
        arrays, coords = chosen.measure(subject)
        subject.attrs |= {"domain": domain, "tokens_sha256": identity.digest(index)}
        write_store(store, arrays, coords, identity.attributes(*described, rule, **subject.attrs))


@contextlib.contextmanager
def _scratch(*key):
    """A function that makes folders. They go once all is written; after a failure the next try finds them."""
    made = []
    yield lambda: made.append(cache.scratch(*key)) or made[-1]
    for folder in made:
        shutil.rmtree(folder)


def _shards(domains, folders) -> dict:
    """Domain -> its tokens."""
    from implicit_sparsity.corpora.tokens import Tokens

    return dict(zip(domains, map(Tokens, folders), strict=True))


if __name__ == "__main__":
    job.run(measure, snakemake)
