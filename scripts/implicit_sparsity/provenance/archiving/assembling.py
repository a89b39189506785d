"""Everything that an archive holds, and the checksum of each: files that are there, and those made for it."""

import yaml

from implicit_sparsity.errors import InputError

from . import about as words
from . import contents, crate, packing
from .layout import ABOUT, CRATE, LAID, LICENCES, MANIFEST, PATCH


def assemble(
    root, jobs: list, run: dict, options: dict, laid: dict, progress=iter
) -> tuple[dict, dict, dict]:
    """(path in the archive -> Path or bytes, path -> SHA-256, archive.json)."""
    found = contents.gather(root, jobs, run, options)
    domains = words.licences(found.files)
    members = dict(found.files)
    members[LICENCES] = words.licences_page(domains).encode()
    members[LAID] = yaml.safe_dump(laid, sort_keys=True, allow_unicode=True).encode()
    if found.code["patch"]:
        members[PATCH] = found.code["patch"].encode(errors="surrogateescape")
    sizes, sums = {}, {}
    for name in progress(sorted(members)):
        sizes[name], sums[name] = packing.size_and_sum(members[name])
    chosen = {key: options[key] for key in ("activations", "weights")}
    said = words.of_archive(found, chosen, laid, sizes)
    graph = crate.metadata(members, said, domains, _citation(root))
    members[CRATE] = words.as_json(graph)
    sizes[CRATE], sums[CRATE] = packing.size_and_sum(members[CRATE])
    members[ABOUT] = words.as_json(said | {"files": len(sizes), "bytes": sum(sizes.values())})
    _, sums[ABOUT] = packing.size_and_sum(members[ABOUT])
    members[MANIFEST] = packing.manifest(sums)
    _, sums[MANIFEST] = packing.size_and_sum(members[MANIFEST])
    return members, sums, said | {"files": len(sizes), "bytes": sum(sizes.values())}


def _citation(root) -> dict:
    try:
        return yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path="CITATION.cff") from None
