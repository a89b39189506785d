"""Write one checkpoint as a model folder that transformers alone loads: an adapter merged, a whole model
copied."""

from pathlib import Path

from implicit_sparsity.provenance import identity
from implicit_sparsity.storage.files import new_folder, read_json, sha256, write_json
from implicit_sparsity.workflow import job


def export_model(export, model, base, checkpoint, adapter=None, name=None, code=""):
    """Fill results/exports/<model>/<checkpoint>/ with weights, tokenizer, card and manifest; ``adapter``: the
    stage's folder, none for the base model."""
    from implicit_sparsity.models.export import card, write

    name = name or Path(model).name
    record = read_json(Path(adapter) / "stage.json") if adapter else {}
    with new_folder(export) as folder:
        written = write(folder, model, base, name, adapter)
        manifest = {
            "name": f"{name}.{checkpoint}",
            "base": {"name": name, "revision": read_json(Path(model) / "manifest.json")["revision"]},
            **written,
            "study": record.get("study", {}),
            "options": record.get("options", {}),
            "checkpoint_sha256": identity.stage_digest(adapter)
            if adapter
            else identity.weights_digest(model),
            "code": code,
            "files": {path.name: sha256(path) for path in sorted(folder.iterdir())},
            "versions": identity.versions(),
        }
        write_json(folder / "manifest.json", manifest)
        (folder / "README.md").write_text(card(manifest), encoding="utf-8")


if __name__ == "__main__":
    job.run(export_model, snakemake)
