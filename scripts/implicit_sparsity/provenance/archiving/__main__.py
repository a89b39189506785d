"""Restore an archive: ``python -m implicit_sparsity.provenance.archiving ARCHIVE [FOLDER]``.

One line on stderr and status 1 where the archive is refused. Nothing that came out of it is run: an archive's
Snakefile is a program of whoever made it.
"""

import argparse
import shlex
import sys

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import planned_jobs

from . import restoring


def main() -> int:
    parser = argparse.ArgumentParser(prog="restore", description="Restore an archive into a new folder.")
    parser.add_argument("archive")
    parser.add_argument("folder", nargs="?", help="a folder that is not there yet, or empty")
    given = parser.parse_args()
    try:
        folder, metadata = restoring.restore(given.archive, given.folder or None)
        print("\n".join(summary(folder, metadata)), flush=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def summary(folder, metadata: dict) -> list[str]:
    """What was restored, and how to go on."""
    code = metadata["code"]
    changes = (
        f", with changes ({len(code['changed']) + len(code['untracked'])} files)" if code["dirty"] else ""
    )
    lines = [
        f"restored {metadata['files']} files, {metadata['bytes']} bytes, into {folder}: every checksum right"
    ]
    commit = f"commit {code['commit']}" if code["commit"] else "no commit"
    lines += [f"code: {commit}{changes}"]
    lines += (
        [f"left out: {len(metadata['left_out'])} artifacts, made again when needed"]
        if metadata["left_out"]
        else []
    )
    command = shlex.join(["snakemake", "-n", "all", *planned_jobs.arguments(metadata["run"])])
    return [
        *lines,
        "nothing of it was run. The next command runs the archive's Snakefile: read that first, if it is "
        "not yours. It should say that nothing is to be done:",
        f"    cd {shlex.quote(str(folder))} && {command}",
    ]


if __name__ == "__main__":
    sys.exit(main())
