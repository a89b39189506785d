"""Found first on PYTHONPATH by the Snakemake of the tests' studies and by its jobs.

bitsandbytes is not there: nor is it in the environment that `make` makes; the tests' own has it for bases in
4 and 8 bits. peft imports it wherever it is found, which takes every job of every study two seconds.

A job is handed over to the process that has torch already (warm.py), where a test says so.
"""

import os
import sys

sys.modules["bitsandbytes"] = None

if "WARM" in os.environ and "/.snakemake/scripts/" in sys.orig_argv[-1]:
    import handing_over

    handing_over.leave(sys.orig_argv[1:])
