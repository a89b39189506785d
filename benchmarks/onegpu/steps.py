"""Steps of training, through the project's own loop: forward, backward, clipping, AdamW, what the method does
around the optimizer, and the audit.

A step is timed from the end of one optimizer step to the end of the next. The first ones warm up, and the
median of the rest counts. Documents are random token ids of one length, all completion: the most that the
head can have to do.
"""

import itertools
import statistics
import tempfile

SECOND_STAGE = ("orthogonal",)  # its constraint is at work from then on
WARM_UP = 2


def settings(steps: int, batch: int, precision: str, device: str, checkpointing: bool = True) -> dict:
    return {
        "steps": steps,
        "batch_size": batch,
        "learning_rate": 1e-4,
        "warmup": 1,
        "weight_decay": 0.0,
        "clip": 1.0,
        "checkpoint_every": 10**6,
        "constraint_tolerance": 1e-3,
        "precision": precision,
        "gradient_checkpointing": checkpointing,
        "packing": True,
        "device": device,
    }


def synthetic_stage(network, length: int, count: int, domains: list, training: dict, previous=None):
    """A stage like any other but for its documents: ``count`` of random ids a split."""
    import numpy as np

    from implicit_sparsity.corpora.tokens import Document
    from implicit_sparsity.training.stage import Stage

    class Synthetic(Stage):
        def documents(self, split, domain=None):
            random = np.random.default_rng(self.stream("documents", split))
            vocabulary = self.model.config.get_text_config().vocab_size
            ids = random.integers(3, vocabulary, (count, length), dtype=np.uint32)
            metas = [{"group": number, "source": "random"} for number in range(count)]
            return [Document(row, np.zeros(length, bool), meta) for row, meta in zip(ids, metas)]

    tokens = [""] * len(domains)
    return Synthetic("", domains, tokens, seed=0, training=training, previous=previous, model=network)


def _timed(method, meter):
    """The method, and the lists that get the time of the end of each of its steps and the peak until then."""
    ends, peaks, training, gradients, step = [], [], [], method.gradients, method.step

    def before(model):
        training.append(True)
        gradients(model)

    def after(model):
        step(model)
        if not training:
            return  # ``begin`` may project, too
        if not ends:
            meter.forget_peak()  # the peak is that of steps, not of what ``begin`` read
        ends.append(meter.now())
        peaks.append(meter.peak_gb())  # nor of what the audit reads afterwards

    method.gradients, method.step = before, after
    return method, ends, peaks


def measure(make, name: str, options: dict, length: int, batch: int, steps: int, meter, **how) -> dict:
    """{seconds_per_step, peak_memory_gb, loss, note} of a method; ``make()`` gives a fresh network, ``how``
    is precision and checkpointing (see ``settings``)."""
    from implicit_sparsity.options import load
    from implicit_sparsity.training import fit

    def stage_of(domains, count, previous=None):
        setting = settings(count, batch, device=meter.device, **how)
        return synthetic_stage(make(), length, batch * count, domains, setting, previous)

    with tempfile.TemporaryDirectory() as folder:
        previous, domains = None, ["first"]
        if name in SECOND_STAGE:
            previous, domains = f"{folder}/adapter", ["first", "second"]
            _first_stage(stage_of(["first"], 1), load("methods", name, **options), previous)
            meter.clear()
        method, ends, peaks = _timed(load("methods", name, **options), meter)
        done = fit.train_model(stage_of(domains, steps + WARM_UP, previous), method, f"{folder}/scratch")
    each = [b - a for a, b in itertools.pairwise(ends)][WARM_UP - 1 :]
    return {
        "seconds_per_step": statistics.median(each),
        "peak_memory_gb": peaks[-1],
        "loss": done["curve"][0]["loss"],
        "note": f"stage {len(domains)}, median of {len(each)} steps",
    }


def _first_stage(stage, method, folder) -> None:
    """One step in a first domain, so that there is a past to protect."""
    from pathlib import Path

    from implicit_sparsity.training import fit

    with tempfile.TemporaryDirectory() as scratch:
        state = fit.run_stage(stage, method, scratch)["state"]
    Path(folder).mkdir()
    stage.save(method, folder, state)
