"""Write a finished study into one file, from which it can be restored on another machine."""

import logging
from pathlib import Path

from implicit_sparsity.workflow import job

log = logging.getLogger(__name__)
DEFAULTS = {"activations": False, "path": "archives/study.tar.gz", "weights": True}


def archive(options, run, study, snakefile):
    """Write ``options["path"]``. ``run``: config files and --config of this run; ``study``: config as laid.

    InputError where the study is not finished, or not all of it is where it can be restored from.
    """
    from implicit_sparsity.provenance.archiving import packing, readiness
    from implicit_sparsity.provenance.archiving.assembling import assemble

    chosen = DEFAULTS | options
    packing.check_ending(chosen["path"])
    jobs = readiness.finished(run, snakefile)
    members, sums, metadata = assemble(Path.cwd(), jobs, run, chosen, study, progress("checksums"))
    packing.write(chosen["path"], members, sums, metadata["ended"], progress("packing"))
    report(chosen["path"], metadata)


def report(path, metadata) -> None:
    """Say what was written."""
    code, size = metadata["code"], Path(path).stat().st_size / 1e6
    dirty = ", with changes that are in no commit" if code["dirty"] else ""
    print(f"{path}: {metadata['files']} files, {size:.1f} MB, commit {code['commit']}{dirty}")
    print(
        f"left out (archive.weights, archive.activations): {len(metadata['left_out'])} artifacts", flush=True
    )


def progress(what: str):
    """A bar on a terminal, elsewhere a line in the log for every thousandth file."""

    def watched(items):
        from tqdm import tqdm

        for number, item in enumerate(tqdm(items, desc=what, leave=False, disable=None)):
            if number % 1000 == 0:
                log.info("%s: %d files", what, number)
            yield item

    return watched


if __name__ == "__main__":
    job.run(archive, snakemake)
