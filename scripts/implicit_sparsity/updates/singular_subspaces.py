"""The two halves of a weight under PEFT's OSF, and what a step writes into the half that is to stay.

W = U_high S_high V_high + U_low S_low V_low, an SVD of W at the start of a stage; the second term is trained.
The promise: no change dW has rows or columns in the first half, U_high' dW = 0 and dW V_high' = 0.
Shapes: o output width, i input width, k directions that stay, r = min(o, i) - k; U_low [o, r], S_low [r],
V_low [r, i]. PEFT keeps U_high (V_high) only where U (V) is not square; else U_low's complement is the same.
"""

import torch

from implicit_sparsity.models.lowrank import summed
from implicit_sparsity.models.protected import Protected, whole_subspace

ADAPTER = "default"


def trained(layer) -> dict:
    """{U_low, S_low, V_low} of one of PEFT's OSF layers: the parameters that are trained."""
    return dict(layer.osf_svd_params[ADAPTER].items())


def high_rows(layer, x):
    """The part of the columns of x [o, m] that lies in the span of U_high, float64."""
    x, stored = x.double(), layer._osf_U_high
    if ADAPTER in stored:
        high = stored[ADAPTER].double()
        return high @ (high.T @ x)
    low = layer._osf_U_low_init[ADAPTER].double()
    return x - low @ (low.T @ x)


def high_columns(layer, x):
    """The part of the rows of x [m, i] that lies in the span of V_high, float64."""
    x, stored = x.double(), layer._osf_V_high
    if ADAPTER in stored:
        high = stored[ADAPTER].double()
        return (x @ high.T) @ high
    low = layer._osf_V_low_init[ADAPTER].double()
    return x - (x @ low.T) @ low


def high_inputs(weight, lost, share: float) -> Protected:
    """V_high of a weight [o, i] (and ``lost``, what rounding took of it, or None) as PEFT parts it: the
    ``share`` of min(o, i) directions."""
    values = weight.double() + (0 if lost is None else lost.to(weight.device).double())
    count = int(share * min(values.shape))
    wide = values.shape[1] > values.shape[0]  # the smaller moment matrix has all that is needed
    _, vectors = torch.linalg.eigh(values @ values.T if wide else values.T @ values)
    vectors = vectors[:, vectors.shape[1] - count :]
    basis = torch.linalg.qr(values.T @ vectors).Q if wide else vectors
    return whole_subspace(basis[None].to(weight.dtype))


def reproject(layers: dict) -> None:
    """Take out of U_low and V_low, in place, what has got into the span of the half that stays."""
    with torch.no_grad():
        for layer in layers.values():
            low = trained(layer)
            low["U_low"].copy_(low["U_low"].double() - high_rows(layer, low["U_low"]))
            low["V_low"].copy_(low["V_low"].double() - high_columns(layer, low["V_low"]))


def snapshot(layers: dict) -> dict:
    """Copies of what is trained, {layer: {U_low, S_low, V_low}}."""
    return {
        name: {part: p.detach().clone() for part, p in trained(layer).items()}
        for name, layer in layers.items()
    }


def change_norms(layers: dict, before: dict) -> tuple[float, float]:
    """(||dW - (1 - P_U) dW (1 - P_V)||, ||dW||) of all layers since ``before``, P onto the half that stays.

    The forbidden part is the sum of two orthogonal ones, P_U dW and (1 - P_U) dW P_V. dW = U S V - U0 S0 V0
    is formed, a layer at a time, in float64, as a step is a small difference: r is near the full rank, so
    the factors are no smaller.
    """
    parts = []
    for name, layer in layers.items():
        change = _product(trained(layer)) - _product(before[name])
        rows = high_rows(layer, change)
        columns = high_columns(layer, change - rows)
        forbidden = rows.square().sum() + columns.square().sum()
        parts.append(torch.stack([forbidden, change.square().sum()]))
    forbidden, total = summed(parts)
    return forbidden**0.5, total**0.5


def _product(parts: dict):
    """U S V of a trained half, float64 [o, i]."""
    u, s, v = (parts[name].detach().double() for name in ("U_low", "S_low", "V_low"))
    return (u * s) @ v


def merged(layers: dict) -> dict:
    """The weights as they are with what was trained, float32 [o, i] each."""
    with torch.no_grad():
        return {
            name: layer.get_base_layer().weight + layer.get_delta_weight(ADAPTER)
            for name, layer in layers.items()
        }
