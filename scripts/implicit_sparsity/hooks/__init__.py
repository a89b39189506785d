"""Every hook of the project, each in a context manager that takes it out again."""

from .backward import module_gradients
from .changing import neuron_deltas, sparsified
from .documents import separate_documents
from .gradients import masked_gradients, weight_gradients
from .routing import SteadyRouting
from .watching import ffn_activations, module_inputs

__all__ = [
    "SteadyRouting",
    "ffn_activations",
    "masked_gradients",
    "module_gradients",
    "module_inputs",
    "neuron_deltas",
    "separate_documents",
    "sparsified",
    "weight_gradients",
]
