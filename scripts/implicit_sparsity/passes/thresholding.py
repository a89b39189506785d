"""Loss of a network while feed-forward activations are zero: those below a threshold, or of some neurons.

Thresholds and masks are made from one half of a domain's documents (``calibration``), losses taken on the
other half of this or another domain. Shapes: L layers, N neurons of a layer, P parts of a layer, D documents.
"""

import numpy as np
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models.batching import collate, completion_tokens, sorted_batches, to_device
from implicit_sparsity.models.hooks.changing import sparsified
from implicit_sparsity.models.losses import completion_nats

from . import calibration


class Zeroing:
    """What ``hooks.changing.sparsified`` asks: |h| below ``thresholds`` [L, P] and neurons not ``retained``
    [L, N] are set to zero, and zeros counted over the positions that are no padding."""

    def __init__(self, layers: int, device, thresholds=None, retained=None):
        def given(values, dtype):
            return None if values is None else torch.as_tensor(values, dtype=dtype, device=device)

        self.thresholds, self.retained = given(thresholds, torch.float32), given(retained, torch.bool)
        self.zeros, self.seen = (torch.zeros(layers, dtype=torch.int64, device=device) for _ in "zs")
        self.keep = None

    def begin_batch(self, keep) -> None:
        """bool [T]: flat positions of the next batch that hold a token."""
        self.keep = keep.to(self.zeros.device)

    def __call__(self, block, first, experts, positions, h):
        layer, n = block.layer, h.shape[-1]
        if self.retained is not None:
            retained = self.retained[layer, first : first + n]
            if experts is not None:
                retained = self.retained[layer, : block.experts * n].view(block.experts, n)[experts]
            h = h.masked_fill(~retained, 0)
        if self.thresholds is not None:
            parts = self.thresholds[layer]
            part = parts[-1] if experts is None or len(parts) == 1 else parts[experts][:, None]
            h = h.masked_fill(h.abs().float() < part, 0)
        keep = self.keep if positions is None else self.keep[positions]
        self.zeros[layer] += ((h == 0).sum(-1) * keep).sum()
        self.seen[layer] += keep.sum() * n
        return h

    def shares(self) -> np.ndarray:
        """Share of zeros in each layer, [L]."""
        return (self.zeros / self.seen).cpu().numpy().astype(np.float64)


def losses(model, batches, change) -> np.ndarray:
    """Mean nats of each document's completion tokens, [D], while ``change`` is at work; batches: (numbers of
    the documents, their tensors)."""
    result = np.zeros(sum(len(rows) for rows, _ in batches))
    with torch.inference_mode(), sparsified(model, change):
        for rows, batch in batches:
            change.begin_batch(batch["attention_mask"].flatten().bool())
            nats, row = completion_nats(model, batch)
            sums = torch.zeros(len(rows), dtype=torch.float64, device=nats.device)
            counts = (batch["labels"] != -100).sum(1).cpu().numpy()
            result[rows] = sums.index_add_(0, row, nats.double()).cpu().numpy() / counts
    return result


def conditions(domain: str, calibrations: dict, options: dict) -> dict:
    """Every way to run the network, {name: (thresholds or None, retained or None)}, the dense one first.

    Names: (measure, place of the level, domain or number of the mask). The domain's own thresholds at a cross
    level are one of its curve's where that has the level.
    """
    layers, neurons = calibrations[domain].score.shape
    levels = curve_levels(options)
    result = {("curve", i, ""): (calibrations[domain].thresholds(s), None) for i, s in enumerate(levels)}
    for c, s in enumerate(options["cross"]):
        for name, made in calibrations.items():
            if name != domain or s not in levels:
                result["threshold", c, name] = made.thresholds(s), None
            result["mask", c, name] = None, made.retained(s)
        for r in range(options["random_masks"]):
            result["random", c, str(r)] = None, calibration.random_mask(layers, neurons, s, r)
    return result


def curve_levels(options: dict) -> list[float]:
    """Levels of the curve, ascending, the dense network's 0 first."""
    return sorted({0.0, *map(float, options["levels"])})


def measure(model, documents, domain: str, calibrations: dict, options: dict, progress=iter, path=None):
    """{name of ``conditions``: (losses [D], shares of zeros [L])}: a pass over the documents for each."""
    device, layers = next(model.parameters()).device, len(calibrations[domain].score)
    numbers = sorted_batches([len(document.ids) for document in documents], options["batch_tokens"])
    batches = [(rows, to_device(collate([documents[i] for i in rows]), device)) for rows in numbers]
    result = {}
    asked = conditions(domain, calibrations, options)
    for name in progress(list(asked)):
        change = Zeroing(layers, device, *asked[name])
        result[name] = losses(model, batches, change), change.shares()
        if not np.isfinite(result[name][0]).all():
            raise InputError(f"a loss is not finite ({' '.join(map(str, name))})", path=path)
    for c, s in enumerate(options["cross"]):
        if ("threshold", c, domain) not in result:
            result["threshold", c, domain] = result["curve", curve_levels(options).index(s), ""]
    return result


METADATA = {  # measure: (dims before document or layer, what is set to zero)
    "curve": (("level",), "|h| below the domain's own threshold"),
    "threshold": (("cross", "calibration"), "|h| below another domain's threshold"),
    "mask": (("cross", "calibration"), "neurons out of another domain's mask"),
    "random": (("cross", "draw"), "neurons out of a random mask"),
}
COORDINATES = {  # name: (dimension, long name)
    "level": ("level", "share of |h| that the threshold is above on the calibrating half"),
    "cross": ("cross", "the same, or share of neurons that a mask leaves out"),
    "calibration": ("calibration", "domain whose half a made the thresholds and the mask"),
    "draw": ("draw", "number of the random mask"),
    "document_id": ("document", "identifier of the document"),
    "part": ("part", "routed expert; -1 the shared one, or all of the layer"),
}


def as_store(measured: dict, documents, domain: str, calibrations: dict, options: dict) -> tuple[dict, dict]:
    """(arrays, coordinates) for ``store.write_store`` from what ``measure`` returned."""
    own = np.stack([calibrations[domain].thresholds(s) for s in curve_levels(options)])
    layers, parts = own.shape[1:]
    along = {
        "level": np.array(curve_levels(options)),
        "cross": np.array(options["cross"], dtype=np.float64),
        "calibration": np.array(list(calibrations)),
        "draw": np.array([str(r) for r in range(options["random_masks"])]),
    }
    arrays = {}
    for name, (dims, what) in METADATA.items():
        last = along[dims[1]].tolist() if len(dims) > 1 else [""]
        shape = tuple(len(along[dim]) for dim in dims)
        cells = [measured[name, i, item] for i in range(shape[0]) for item in last]
        nats = np.array([cell[0] for cell in cells]).reshape(*shape, len(documents))
        zeros = np.array([cell[1] for cell in cells]).reshape(*shape, layers)
        words = f"mean nats of a completion token, {what} set to zero"
        arrays[f"{name}_loss"] = ((*dims, "document"), nats, {"long_name": words, "units": "nats"})
        words = f"share of h that is zero, {what} set to zero"
        arrays[f"{name}_zeros"] = ((*dims, "layer"), zeros, {"long_name": words, "units": "1"})
    words = {"long_name": "the domain's own threshold on |h|", "units": "activation"}
    arrays["thresholds"] = (("level", "layer", "part"), own, words)
    tokens = np.array([completion_tokens(document) for document in documents])
    arrays["tokens"] = (("document",), tokens, {"long_name": "completion tokens", "units": "tokens"})
    along["document_id"] = np.array([str(document.meta.get("id", i)) for i, document in enumerate(documents)])
    along["part"] = np.append(np.arange(parts - 1), -1)
    coords = {
        name: ((COORDINATES[name][0],), values, {"long_name": COORDINATES[name][1], "units": "1"})
        for name, values in along.items()
    }
    return arrays, coords | {"layer": np.arange(layers)}
