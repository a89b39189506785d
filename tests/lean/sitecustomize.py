"""Found first on PYTHONPATH by the Snakemake of the tests' studies and by its jobs.

bitsandbytes is not there: nor is it in the environment that `make` makes; the tests' own has it for bases in
4 and 8 bits. peft imports it wherever it is found, which takes every job of every study two seconds.

A job is handed over to the process that has its imports (warm.py), unless its test gave an environment of
its own (studies.environment).
"""

import os
import sys

sys.modules["bitsandbytes"] = None

if os.environ.get("WARM") and "/.snakemake/scripts/" in sys.orig_argv[-1]:
    import handing_over

    handing_over.hand_over(sys.orig_argv[1:])
