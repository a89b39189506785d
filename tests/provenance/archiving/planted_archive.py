"""Small archives whose content is known, and forgeries of them: one thing changed, all else as it should."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from implicit_sparsity.provenance.archiving import packing
from implicit_sparsity.provenance.archiving.layout import MANIFEST, METADATA, TOP

FILES = {
    "Snakefile": b"rule all:\n",
    "results/tables/scores.csv": b"model,value\nnano,1.5\n",
    "results/models/nano/model.safetensors": bytes(range(256)) * 40,
}


def metadata(held: dict, **changed) -> bytes:
    reported = {
        "format": 1,
        "code": {"commit": "c" * 40, "dirty": False, "changed": [], "untracked": [], "files": ["Snakefile"]},
        "run": {"configfiles": [], "config": {}},
        "left_out": [],
        "files": len(held),
        "bytes": sum(map(len, held.values())),
    }
    return json.dumps(reported | changed).encode()


def whole(path, files=FILES, seconds: int = 1_700_000_000, **changed) -> Path:
    """An archive as packing writes it."""
    members = files | {METADATA: metadata(files, **changed)}
    sums = {name: packing.size_and_sum(content)[1] for name, content in members.items()}
    members[MANIFEST] = packing.manifest(sums)
    sums[MANIFEST] = packing.size_and_sum(members[MANIFEST])[1]
    packing.write(path, members, sums, seconds)
    return Path(path)


def member(name: str, content: bytes = b"", kind=tarfile.REGTYPE, link: str = "", **more):
    """(header, bytes) of one file in the archive, whatever it claims to be."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def forged(path, *extra, named=(), held=FILES, order=None, **changed) -> Path:
    """An archive with members put behind the honest ones; ``named``: what its manifest names besides."""
    reported = {"files": len(held) + len(named), "bytes": 10**6} | changed
    honest = held | {METADATA: metadata(held, **reported)}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in honest.items()}
    sums |= {name: hashlib.sha256(content).hexdigest() for name, content in named}
    listing = "".join(f"{total}  {name}\n" for name, total in sorted(sums.items())).encode()
    members = [member(TOP + MANIFEST, listing), member(TOP + METADATA, honest.pop(METADATA))]
    members += [member(TOP + name, content) for name, content in sorted(honest.items())] + list(extra)
    members = order(members) if order else members
    pax = tarfile.PAX_FORMAT
    with gzip.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w|", format=pax) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return Path(path)
