"""Score one checkpoint on every domain. The model is loaded once, and not at all where every score is
finished."""

import time
from pathlib import Path

from implicit_sparsity import adapters, artifacts, evaluation, job, models
from implicit_sparsity.files import read_json, write_json
from implicit_sparsity.tokens import Tokens

FINISHED = ".finished"  # scores by the hash of all that they depend on, beside results/evals/<model>/


def evaluate_checkpoint(
    evals, model, tokens, base, domains, checkpoint, options, adapter=None, name=None, code=""
):
    """Write one eval JSON a domain: ``evals``, ``tokens`` and ``domains`` run parallel.

    A change to one domain scores that domain alone: the others' finished scores are found by their key.
    """
    study = describe(model, adapter, checkpoint, base, name)
    depends = [code, study["model_sha256"], study["adapter_sha256"], options, artifacts.versions()]
    network = None
    for path, folder, domain in zip(evals, tokens, domains, strict=True):
        shards = Tokens(folder)
        study_here = study | {"domain": domain, "tokens_sha256": artifacts.digest(shards.index)}
        key = artifacts.digest([*depends, domain, study_here["tokens_sha256"]])
        finished = Path(path).parent.parent / FINISHED / f"{key}.json"
        if not finished.exists():
            network = network or adapters.load_checkpoint(model, adapter, base)
            tokenizer = evaluation.tokenizer_of(model)
            stop = evaluation.stop_token(shards, tokenizer)
            bar = artifacts.progress(f"{checkpoint} on {domain}")
            scores = evaluation.score_domain(network, shards, domain, options, tokenizer.decode, stop, bar)
            finished.parent.mkdir(parents=True, exist_ok=True)
            write_json(finished, scores)
        scores = read_json(finished)
        settings = {
            "config": {
                "model": "hf",
                "model_args": f"pretrained={model},peft={adapter}",
                "device": models.default_device(),
            },
            "git_hash": artifacts.git_hash(),
            "date": time.time(),
        }
        write_json(path, evaluation.as_lm_eval(domain, scores, study_here, options, settings))


def describe(model, adapter, checkpoint, base, name) -> dict:
    """Which model and which stage of which run this is."""
    manifest = read_json(Path(model) / "manifest.json")
    study = {
        "model": name or Path(model).name,
        "revision": manifest["revision"],
        "model_sha256": artifacts.digest(manifest["files"]),
        "checkpoint": checkpoint,
        "method": "base",
        "order": "",
        "seed": None,
        "stage": 0,
        "trained_domains": [],
        "adapter_sha256": None,
        "versions": artifacts.versions(),
    }
    if adapter:
        record = read_json(Path(adapter) / "stage.json")["study"]
        study |= {key: record[key] for key in ("method", "order", "seed", "stage", "trained_domains")}
        study["adapter_sha256"] = artifacts.stage_digest(adapter)
    return study


if __name__ == "__main__":
    job.run(evaluate_checkpoint, snakemake)
