"""The door to reasoning-gym's generators."""

import sys
from types import ModuleType


def create_dataset(*args, **options):
    """``reasoning_gym.create_dataset``, without pycosat.

    The package imports pycosat for its zebra puzzles alone, which are not used here. It comes as C source
    only, and a fresh machine may have no compiler, so it is not in the locks: an empty module stands where it
    is imported.
    """
    sys.modules.setdefault("pycosat", ModuleType("pycosat"))
    from reasoning_gym import create_dataset as create

    return create(*args, **options)
