"""One file that holds a finished study, and the way back.

    readiness.py  Snakemake's own plan: is anything left to do, which files make up the study
    contents.py   which of them go in: code, config, results, Snakemake's notes; what is left out
    about.py      what the archive says of itself: archive.json, the data's licences
    crate.py      the Workflow Run RO-Crate
    packing.py    a tar whose bytes depend on its content alone
    reading.py    a tar by anybody, read whole and believed in nothing; writes nothing
    restoring.py  the same, written into a new folder

In the archive everything lies in ``study/``: first ``manifest-sha256.txt`` (for ``sha256sum -c``), then
``archive.json``, then the rest by name. Reading and restoring need the standard library alone:
``python -m implicit_sparsity.archiving ARCHIVE [FOLDER]``.
"""

TOP = "study/"
MANIFEST = "manifest-sha256.txt"
ABOUT = "archive.json"
CRATE = "ro-crate-metadata.json"
LAID = "config_as_laid.yaml"
LICENCES = "DATA_LICENCES.md"
PATCH = "uncommitted.patch"
LEFT_OUT = "left_out"  # records of the artifacts that were not taken along
CONFIGS = "configs"  # config files that lay outside the study's folder
MADE_HERE = (MANIFEST, ABOUT, CRATE, LAID, LICENCES, PATCH)
FORMAT = 1
