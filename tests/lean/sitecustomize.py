"""Found first on PYTHONPATH by the jobs of the tests' studies: bitsandbytes is not there.

Nor is it in the environment that `make` makes; the tests' own has it for bases in 4 and 8 bits. peft
imports it wherever it is found, which takes every job of every study two seconds.
"""

import sys

sys.modules["bitsandbytes"] = None
