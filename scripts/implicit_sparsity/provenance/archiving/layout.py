"""Names in an archive: its files and folders."""

TOP = "study/"
MANIFEST = "manifest-sha256.txt"
METADATA = "archive.json"
CRATE = "ro-crate-metadata.json"
LAID = "config_as_laid.yaml"
LICENCES = "DATA_LICENCES.md"
PATCH = "uncommitted.patch"
LEFT_OUT = "left_out"  # records of the artifacts that were not taken along
CONFIGS = "configs"  # config files that lay outside the study's folder
MADE_HERE = (MANIFEST, METADATA, CRATE, LAID, LICENCES, PATCH)
FORMAT = 1
ENDINGS = (".tar.gz", ".tgz", ".tar")
