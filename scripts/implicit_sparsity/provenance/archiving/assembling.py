"""Everything that an archive holds, and the checksum of each: files that are there, and those made for it."""

import yaml

from implicit_sparsity.errors import InputError

from . import contents, crate, metadata, packing
from .layout import CRATE, LAID, LICENCES, MANIFEST, METADATA, PATCH


def assemble(
    root, jobs: list, run: dict, options: dict, laid: dict, progress=iter
) -> tuple[dict, dict, dict]:
    """(path in the archive -> Path or bytes, path -> SHA-256, archive.json)."""
    gathered = contents.gather(root, jobs, run, options)
    domains = metadata.licences(gathered.files)
    members = dict(gathered.files)
    members[LICENCES] = metadata.licences_page(domains).encode()
    members[LAID] = yaml.safe_dump(laid, sort_keys=True, allow_unicode=True).encode()
    if gathered.code["patch"]:
        members[PATCH] = gathered.code["patch"].encode(errors="surrogateescape")
    sizes, sums = {}, {}
    for name in progress(sorted(members)):
        sizes[name], sums[name] = packing.size_and_sum(members[name])
    chosen = {key: options[key] for key in ("activations", "weights")}
    archive_json = metadata.of_archive(gathered, chosen, laid, sizes)
    graph = crate.metadata(members, archive_json, domains, _citation(root))
    members[CRATE] = metadata.as_json(graph)
    sizes[CRATE], sums[CRATE] = packing.size_and_sum(members[CRATE])
    members[METADATA] = metadata.as_json(archive_json | {"files": len(sizes), "bytes": sum(sizes.values())})
    _, sums[METADATA] = packing.size_and_sum(members[METADATA])
    members[MANIFEST] = packing.manifest(sums)
    _, sums[MANIFEST] = packing.size_and_sum(members[MANIFEST])
    return members, sums, archive_json | {"files": len(sizes), "bytes": sum(sizes.values())}


def _citation(root) -> dict:
    try:
        return yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path="CITATION.cff") from None
