"""Put a model into the one form that every later rule reads: a folder of safetensors with a manifest."""

from implicit_sparsity import artifacts, checkpoints, job
from implicit_sparsity.errors import InputError
from implicit_sparsity.files import new_folder, sha256, write_json


def prepare_model(folder, model, base, splits=(), template=None):
    """Fill results/models/<model>/ and check the declared shape against the real one."""
    from implicit_sparsity import models

    with new_folder(folder) as temporary:
        said = checkpoints.prepare(temporary, base, splits, template)
        shape = models.shape(temporary)
        for key in ("layers", "width"):
            if key in base and base[key] != shape[key]:
                raise InputError(
                    f"declared {base[key]}, the model has {shape[key]}", key=f"models.{model}.{key}"
                )
        files = sorted(path for path in temporary.iterdir() if path.is_file())
        manifest = {
            "name": model,
            "source": base["source"],
            **said,
            "shape": shape,
            "files": {path.name: sha256(path) for path in files},
            "versions": artifacts.versions(),
        }
        write_json(temporary / "manifest.json", manifest)


if __name__ == "__main__":
    job.run(prepare_model, snakemake)
