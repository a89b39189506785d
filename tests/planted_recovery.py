"""Stores of relearning in which a known share of what was forgotten comes back."""

import numpy as np
from planted import clustered, metadata

from implicit_sparsity.storage.store import write_store

TAUGHT = (0, 10, 50)
OPTIONS = {"documents": [10, 50], "relearn": [10, 50]}


def relearning_store(path, rng, model, checkpoint, old, back=0.5, forgotten=0.4, groups=12, each=2, **more):
    """Of every old domain so much was forgotten; 50 own documents give ``back`` of it back, 10 half of that,
    50 unrelated ones a fifth. The base model, at 2.5 nats, gains .1 and .02 with the same documents; losses
    after the own stage are about 2."""
    base = checkpoint == "base"
    loss = np.full((len(old), 2, len(TAUGHT), groups * each), np.nan)
    own = np.full((len(old), groups * each), np.nan)
    names = np.repeat(np.arange(groups), each)
    for d in range(len(old)):
        stage, lost, first, rest, other = 0.1 * clustered(rng, names, 0.9, (5,)).T
        stage, lost = 2 + 3 * stage, forgotten + lost
        final = 0.5 + stage if base else stage + lost
        given = {10: 0.02, 50: 0.1} if base else {10: back / 2 * lost, 50: back * lost}
        loss[d, :, 0] = final
        loss[d, 0, 1:] = final - given[10] - 0.1 * first, final - given[50] - 0.1 * rest
        if not base:
            own[d] = stage
            loss[d, 1, -1] = final - back / 5 * lost - 0.1 * other
    arrays = {
        "loss_content": (("domain", "source", "taught", "document"), loss, metadata()),
        "own_stage": (("domain", "document"), own, metadata()),
        "group": (("domain", "document"), np.tile(names, (len(old), 1)), metadata()),
    }
    coords = {
        "domain": (("domain",), np.array(old), metadata()),
        "source": (("source",), np.array(["own", "unrelated"]), metadata()),
        "taught": (("taught",), np.array(TAUGHT), metadata()),
    }
    attrs = {"model": model, "checkpoint": checkpoint, "domain": "", "revision": "r", "model_sha256": "s"}
    attrs |= {"options": OPTIONS, "unrelated": "" if base else "knowledge"} | more
    return str(write_store(path, arrays, coords, attrs))


def write_table(out, folder, rng, models, methods, seeds, domains, **planted):
    """The table of these models; stores go to ``folder``."""
    from probe_table import probe_table

    old, stores = list(domains[:-1]), []
    for model in models:
        for checkpoint in [
            "base",
            *(f"{m}.main.seed{s}.stage{len(domains)}" for m in methods for s in seeds),
        ]:
            path = folder / f"{model}.{checkpoint}.relearning.zarr"
            stores.append(relearning_store(path, rng, model, checkpoint, old, **planted))
    bases = [path for path in stores if ".base." in path]
    probe_table(str(out), probe="recovery", relearning=stores, relearning_base=bases)
