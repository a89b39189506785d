"""What jobs of one submission have finished, kept until the run is through.

On a cluster several jobs go in one submission, and when one of them fails Snakemake takes away what all of
them made: hours of training for an evaluation that ran out of memory. So what a job finished is also linked
into a folder that Snakemake does not know, and an attempt that is asked for the same thing again takes it
from there. Links cost no bytes while the output is there.

    <place>/<digest of the outputs' paths>/<digest of all that the job depends on>/{0, 1, ..., manifest.json}

Inputs count by the size and time of every file: a changed one is another key, never a wrong hit. What was
altered since it was kept is not taken either.
"""

import logging
import shutil
from pathlib import Path

from implicit_sparsity.provenance import cache
from implicit_sparsity.storage.files import link, new_file, new_folder, read_json, write_json

log = logging.getLogger(__name__)
TIMESTAMP = ".snakemake_timestamp"  # Snakemake's own, put into a folder that it made sure of
MANIFEST = "manifest.json"


def state(path) -> list:
    """[name, bytes, nanoseconds] of a file, or of all files of a folder; [] where there is nothing."""
    path = Path(path)
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    stats = [(file, file.stat()) for file in files if file.is_file() and file.name != TIMESTAMP]
    return [[file.relative_to(path).as_posix(), status.st_size, status.st_mtime_ns] for file, status in stats]


class OutputCache:
    """The finished outputs of one job. ``place``: the folder of all kept ones, None to keep nothing.

    ``depends``: JSON values that the outputs depend on, besides the files ``inputs``.
    """

    def __init__(self, place, depends, inputs, outputs):
        self.outputs = [Path(path) for path in outputs]
        self.folder = None
        if place:
            key = cache.key(depends, [[path, state(path)] for path in inputs])
            self.folder = Path(place) / cache.key(*map(str, self.outputs))[:16] / key[:16]

    def restore(self) -> bool:
        """Put the outputs back; False where there are none, or none that are as they were finished."""
        if not self.folder or not (self.folder / MANIFEST).is_file():
            return False
        sources = [self.folder / str(number) for number in range(len(self.outputs))]
        if read_json(self.folder / MANIFEST) != [state(source) for source in sources]:
            log.warning("kept outputs were altered since, and are made again: %s", self.folder)
            return False
        for source, output in zip(sources, self.outputs, strict=True):
            with new_folder(output) if source.is_dir() else new_file(output) as partial:
                _link(source, partial)
        log.info("taken from %s, where an earlier attempt left it finished", self.folder)
        return True

    def keep(self) -> None:
        """Link the outputs; what was kept of them under another key is dropped."""
        if not self.folder:
            return
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        try:
            with new_folder(self.folder) as partial:
                for number, output in enumerate(self.outputs):
                    _link(output, partial / str(number))
                write_json(partial / MANIFEST, [state(output) for output in self.outputs])
        except OSError as error:  # a file system without links: a failed group then works again
            log.warning("what was finished cannot be kept: %s", error)


def _link(source: Path, target: Path) -> None:
    if source.is_file():
        target.unlink(missing_ok=True)
        link(source, target)
    else:
        leave = shutil.ignore_patterns(TIMESTAMP)
        shutil.copytree(source, target, copy_function=link, ignore=leave, dirs_exist_ok=True)
