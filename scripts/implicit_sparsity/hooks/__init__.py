"""Every hook of the project, each in a context manager that takes it out again."""

from .changing import neuron_deltas, sparsified
from .documents import separate_documents
from .routing import SteadyRouting
from .watching import ffn_activations, module_inputs

__all__ = [
    "SteadyRouting",
    "ffn_activations",
    "module_inputs",
    "neuron_deltas",
    "separate_documents",
    "sparsified",
]
