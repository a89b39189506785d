"""Losses under thresholds and masks as a store. Shapes as in ``thresholding``."""

import numpy as np

from .thresholding import curve_levels
from .token_losses import TOKENS, counted

METADATA = {  # measure: (dims before document or layer, what is set to zero)
    "curve": (("level",), "|h| below the domain's own threshold"),
    "again": (("level",), "|h| below it, by the other attention kernel,"),
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
    "group": ("document", "group of the document"),
    "tokens": ("tokens", "which tokens' mean nats a loss is"),
    "part": ("part", "routed expert; -1 the shared one, or all of the layer"),
}


def as_store(measured: dict, documents, domain: str, calibrations: dict, options: dict, index) -> tuple:
    """(arrays, coordinates) for ``store.write_store`` from what ``thresholding.measure`` returned."""
    own = np.stack([calibrations[domain].thresholds(s) for s in curve_levels(options)])
    layers, parts = own.shape[1:]
    along = {
        "level": np.array(curve_levels(options)),
        "cross": np.array(options["cross"], dtype=np.float64),
        "calibration": np.array(list(calibrations)),
        "draw": np.array([str(r) for r in range(options["random_masks"])]),
    }
    arrays, kinds = {}, {name for name, *_ in measured}
    for name, (dims, what) in METADATA.items():
        if name not in kinds and (name == "again" or not options["cross_thresholds"]):
            continue
        last = along[dims[1]].tolist() if len(dims) > 1 else [""]
        shape = tuple(len(along[dim]) for dim in dims)
        cells = [measured[name, i, item] for i in range(shape[0]) for item in last]
        nats = np.array([cell[0] for cell in cells]).reshape(*shape, len(TOKENS), len(documents))
        zeros = np.array([cell[1] for cell in cells]).reshape(*shape, layers)
        words = f"mean nats of a token, {what} set to zero"
        arrays[f"{name}_loss"] = ((*dims, "tokens", "document"), nats, {"long_name": words, "units": "nats"})
        words = f"share of h that is zero, {what} set to zero"
        arrays[f"{name}_zeros"] = ((*dims, "layer"), zeros, {"long_name": words, "units": "1"})
    words = {"long_name": "the domain's own threshold on |h|", "units": "activation"}
    arrays["thresholds"] = (("level", "layer", "part"), own, words)
    counts = np.array([counted(document, index).sum(axis=1) for document in documents]).T
    words = {"long_name": "tokens that a loss is the mean of", "units": "tokens"}
    arrays["token_count"] = (("tokens", "document"), counts, words)
    metas = [document.meta for document in documents]
    along["document_id"] = np.array([str(meta.get("id", i)) for i, meta in enumerate(metas)])
    along["group"] = np.array([str(meta.get("group", i)) for i, meta in enumerate(metas)])
    along["tokens"] = np.array(TOKENS)
    along["part"] = np.append(np.arange(parts - 1), -1)
    coords = {
        name: ((COORDINATES[name][0],), values, {"long_name": COORDINATES[name][1], "units": "1"})
        for name, values in along.items()
    }
    return arrays, coords | {"layer": np.arange(layers)}
