"""Teach a model the study's template before anything is measured: a model folder in, another one out."""

import shutil
from pathlib import Path

from implicit_sparsity.provenance import cache, identity
from implicit_sparsity.storage.files import new_folder, read_json, sha256, write_json
from implicit_sparsity.workflow import job


def warm_up_format(folder, model, base, options, tokens, code=""):
    """Fill ``folder`` with the prepared model of the folder ``model`` after its format warm-up.

    base: the model's config entry; options: {steps, documents}; tokens: the config's section. The
    revision in its manifest is the model's own, ``+format_warmup-`` and a checksum of the weights, so
    that every record tells.
    """
    from implicit_sparsity.updates import format_warmup

    source = read_json(Path(model) / "manifest.json")
    scratch = cache.scratch(folder, identity.weights_digest(model), base, options, tokens, code)
    with new_folder(folder) as temporary:
        record = format_warmup.run(temporary, model, base, options, tokens, scratch)
        weights = identity.folder_digest(temporary, "*.safetensors")
        note = f"format warm-up: {options['steps']} steps on {options['documents']} neutral documents"
        manifest = source | {
            "revision": f"{source['revision']}+format_warmup-{weights[:12]}",
            "note": "; ".join(filter(None, [source.get("note"), note])),
            "format_warmup": record,
            "files": {path.name: sha256(path) for path in sorted(temporary.iterdir()) if path.is_file()},
            "versions": identity.versions(),
        }
        write_json(temporary / "manifest.json", manifest)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    job.run(warm_up_format, snakemake)
