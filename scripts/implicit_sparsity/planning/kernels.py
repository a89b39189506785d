"""Whether the fused Gated DeltaNet is installed where GPU jobs run.

transformers 5.23 (integrations/hub_kernels.py, ``use_kernel_func_from_hub_with_fallback``) takes
``chunk_gated_delta_rule`` from the package fla and ``causal_conv1d_fn`` from causal_conv1d where they can be
imported, and falls back to torch without a word but a warning in the log. They are looked up, not imported:
the submitting node may have no GPU, and Triton then refuses to load.
"""

from implicit_sparsity.errors import InputError

from .work import SLOW_DELTANET

NEEDED = {"fla": "flash-linear-attention", "causal_conv1d": "causal-conv1d"}
INSTALL = "pip install flash-linear-attention, and causal-conv1d --no-build-isolation where nvcc is"


def missing() -> list[str]:
    """Distributions that are not installed."""
    from importlib.util import find_spec

    return [name for module, name in NEEDED.items() if find_spec(module) is None]


def check(shapes: dict, required: bool) -> str:
    """A warning, or "" where all is there or not needed; InputError where it is ``required``."""
    slow = [name for name, shape in shapes.items() if "linear_attention" in shape.kinds]
    lacking = missing() if slow else []
    if not lacking:
        return ""
    line = (
        f"{' and '.join(lacking)} not installed: Gated DeltaNet of {', '.join(slow)} runs on plain torch, "
        f"right but {SLOW_DELTANET} times slower, and the hours below count with that ({INSTALL})"
    )
    if required:
        raise InputError(line, key="hardware.require_fast_kernels")
    return line
