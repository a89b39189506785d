"""One file that holds a finished study, and the way back.

    layout.py     names in an archive
    readiness.py  Snakemake's own plan: is anything left to do, which files make up the study
    contents.py   which of them go in: code, config, results, Snakemake's notes; what is left out
    metadata.py   what the archive says of itself: archive.json, the data's licences
    crate.py      the Workflow Run RO-Crate
    assembling.py all of it, with the checksum of each file
    packing.py    a tar whose bytes depend on its content alone
    validating.py what an archive may say of itself
    reading.py    a tar by anybody, read whole and believed in nothing; writes nothing
    restoring.py  the same, written into a new folder

In the archive everything lies in ``study/``: first ``manifest-sha256.txt`` (for ``sha256sum -c``), then
``archive.json``, then the rest by name. Reading and restoring need the standard library alone:
``python -m implicit_sparsity.provenance.archiving ARCHIVE [FOLDER]``.
"""
