"""Keep documents that share a row apart in layers with a recurrent state.

Shapes: B documents, S positions of the longest, T of all.
"""

from contextlib import ExitStack, contextmanager

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models.forward import decoder


@contextmanager
def separate_documents(model):
    """Let documents packed into one row [1, T] pass recurrent layers (Gated DeltaNet) one by one.

    Such a layer gets them as rows of a padded batch [B, S] and its output is packed again, so that no state
    and no convolution crosses a border, whatever kernel runs inside. The network is called with
    ``document_lengths``; it hands keywords through to its layers, also in a recomputation.
    """
    with ExitStack() as stack:
        for layer in decoder(model).layers:
            if hasattr(layer, "linear_attn"):
                mixer = layer.linear_attn
                stack.callback(mixer.register_forward_pre_hook(_unpack, with_kwargs=True).remove)
                stack.callback(mixer.register_forward_hook(_pack, with_kwargs=True).remove)
            elif not hasattr(layer, "self_attn"):
                raise InputError(
                    f"{type(layer).__name__} has neither attention nor Gated DeltaNet: "
                    "packed documents would see each other",
                    key="training.packing",
                )
        yield


def _unpack(_, args, kwargs):
    lengths = kwargs.get("document_lengths")
    if lengths is None:
        return None
    documents = kwargs["hidden_states"].squeeze(0).split(lengths)
    rows = torch.nn.utils.rnn.pad_sequence(documents, batch_first=True)
    return args, kwargs | {"hidden_states": rows, "attention_mask": None}


def _pack(_, args, kwargs, output):
    lengths = kwargs.get("document_lengths")
    if lengths is None:
        return output
    return torch.cat([row[:n] for row, n in zip(output, lengths, strict=True)]).unsqueeze(0)
