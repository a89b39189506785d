"""Put a model into the one form that every later rule reads: a folder of safetensors with a manifest."""

import shutil

from implicit_sparsity.provenance import cache, identity
from implicit_sparsity.storage.files import new_folder, sha256, write_json
from implicit_sparsity.workflow import job


def prepare_model(folder, model, base, splits=(), template=None):
    """Fill results/models/<model>/, examine it, and check the declared shape against the real one.

    A hub model arrives in a folder beside it, which a killed job leaves for the next one.
    """
    from implicit_sparsity.models import examining, sources

    hub = base["source"] == "hub"
    downloads = cache.scratch(folder, base["repo"], base["revision"]) if hub else None
    with new_folder(folder) as temporary:
        if base["source"] == "scratch":
            from implicit_sparsity.training import pretraining

            reported = pretraining.from_scratch(temporary, base, splits, template)
        else:
            reported = sources.prepare(temporary, model, base, downloads)
        known = reported.pop("files", {})
        reported |= {"examined": examining.examine(sources.as_given(temporary, model, base))}
        shape = sources.check_shape(temporary, model, base)
        files = sorted(path for path in temporary.iterdir() if path.is_file())
        sums = {path.name: known.get(path.name) or sha256(path) for path in files}
        manifest = {
            "name": model,
            "source": base["source"],
            "revision": sources.revision(sums),  # where the source has none of its own
            **reported,
            "shape": shape,
            "files": sums,
            "versions": identity.versions(),
        }
        write_json(temporary / "manifest.json", manifest)
    if downloads:
        shutil.rmtree(downloads)


if __name__ == "__main__":
    job.run(prepare_model, snakemake)
