"""Score one checkpoint on every domain. The model is loaded once, and not at all where every score is
finished."""

import time
from pathlib import Path

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import cache, identity
from implicit_sparsity.storage.files import read_json, write_json
from implicit_sparsity.workflow import job
from implicit_sparsity.workflow.progress import progress

# beside results/evals/<model>/, by the hash of all that they depend on: scores, and what the base model made
# of the documents, which is the same for every checkpoint that is compared with it
FINISHED, BASE_OUTPUTS = ".finished", ".base_model"


def evaluate_checkpoint(
    evals, model, tokens, base, domains, checkpoint, options, adapter=None, name=None, code=""
):
    """Write one eval JSON a domain: ``evals``, ``tokens`` and ``domains`` run parallel.

    A change to one domain scores that domain alone: the others' finished scores are found by their key.
    """
    from implicit_sparsity.models import loading
    from implicit_sparsity.passes import evaluation

    study = describe(model, adapter, checkpoint, base, name)
    loaded = [loading.settings(base), loading.default_device()]
    depends = [code, study["model_sha256"], loaded, options, identity.versions()]
    shards = dict(zip(domains, map(Tokens, tokens), strict=True))
    digests = {domain: identity.digest(shard.index) for domain, shard in shards.items()}
    place = Path(evals[0]).parent.parent

    def files(room, ending, *more):
        keys = {d: cache.key(*depends, *more, d, digest) for d, digest in digests.items()}
        return {domain: place / room / f"{key}.{ending}" for domain, key in keys.items()}

    finished = files(FINISHED, "json", study["adapter_sha256"])
    base_outputs = files(BASE_OUTPUTS, "safetensors")
    scores = {d: cache.load(path, read_json, damaged=(InputError,)) for d, path in finished.items()}
    wanted = {d: shards[d] for d in domains if scores[d] is None}
    scores |= score(wanted, finished, base_outputs, model, adapter, base, options)
    ran = {"model": "hf", "model_args": f"pretrained={model},peft={adapter}", "device": loaded[1]}
    settings = {"config": ran, "git_hash": identity.git_hash(), "date": time.time()}
    for path, domain in zip(evals, domains, strict=True):
        study_here = study | {"domain": domain, "tokens_sha256": digests[domain]}
        write_json(path, evaluation.as_lm_eval(domain, scores[domain], study_here, options, settings))


def score(shards, finished, base_outputs, model, adapter, base, options) -> dict:
    """Load the checkpoint, unless there is nothing to score: domain -> scores, which are kept as well."""
    from implicit_sparsity.passes import evaluation, kl_to_base

    if not shards:
        return {}
    documents = {domain: evaluation.scored_documents(shard, options) for domain, shard in shards.items()}
    network, past = kl_to_base.load(model, adapter, base, documents, options["batch_tokens"], base_outputs)
    asked, scores = set(options["generate"]), {}
    tokenizer = evaluation.tokenizer_of(model) if asked & shards.keys() else None
    for domain, shard in shards.items():
        ends = (
            (tokenizer.decode, evaluation.stop_token(shard, tokenizer)) if domain in asked else (None, None)
        )
        bar = progress(f"{Path(adapter).name if adapter else 'base'} on {domain}")
        scores[domain] = evaluation.score_domain(network, shard, domain, options, *ends, bar, past)
        cache.store(finished[domain], write_json, scores[domain])
    return scores


def describe(model, adapter, checkpoint, base, name) -> dict:
    """Which model and which stage of which run this is."""
    manifest = read_json(Path(model) / "manifest.json")
    study = {
        "model": name or Path(model).name,
        "revision": manifest["revision"],
        "model_sha256": identity.digest(manifest["files"]),
        "checkpoint": checkpoint,
        "method": "base",
        "order": "",
        "seed": None,
        "stage": 0,
        "trained_domains": [],
        "adapter_sha256": None,
        "versions": identity.versions(),
    }
    if adapter:
        record = read_json(Path(adapter) / "stage.json")["study"]
        study |= {key: record[key] for key in ("method", "order", "seed", "stage", "trained_domains")}
        study["adapter_sha256"] = identity.stage_digest(adapter)
    return study


if __name__ == "__main__":
    job.run(evaluate_checkpoint, snakemake)
