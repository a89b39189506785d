"""Between Snakemake and the library: jobs, fingerprints of code, the library read as text, the config."""
