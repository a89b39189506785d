"""The activation pass with all statistics on, against the plain forward pass of the same network on the same
batch.

Both go through ``models.hidden_states``, the head left out. The memory of the plain pass is read before there
are statistics; then the two are timed in turn, and the ratio is paired.
"""

import statistics


def measure(network, length: int, batch: int, rounds: int, meter, options: dict) -> dict:
    """{"forward": {seconds_per_step, peak_memory_gb}, "probe": {the same}, "ratio": of their seconds}.

    ``options``: top_k, thresholds and groups of the probe.
    """
    import numpy as np
    import torch

    from implicit_sparsity.models import ffn
    from implicit_sparsity.models.forward import hidden_states
    from implicit_sparsity.passes import activation_pass
    from implicit_sparsity.passes.accumulators import ActivationStatistics

    vocabulary = network.config.get_text_config().vocab_size
    ids = list(np.random.default_rng(0).integers(3, vocabulary, (batch, length), dtype=np.uint32))
    keeps = [np.arange(length) > 0] * batch
    groups = min(options["groups"], batch)
    dealt = np.arange(batch) % groups

    def forward():
        tokens = torch.from_numpy(np.stack(ids).astype(np.int64))
        with torch.inference_mode():
            mask = torch.ones_like(tokens)
            hidden_states(network, tokens.to(meter.device), mask.to(meter.device))

    def probe():
        activation_pass.run(network, ids, keeps, sums, batch * length, groups=dealt)

    def peak(run):
        run()  # what libraries keep once they have run is not the pass's
        meter.forget_peak()
        run()
        return meter.peak_gb()

    def seconds(run):
        started = meter.now()
        run()
        return meter.now() - started

    plain_peak = peak(forward)
    wanted = options["top_k"], options["thresholds"], meter.device, groups
    sums = ActivationStatistics(ffn.feed_forwards(network), *wanted)
    probe_peak = peak(probe)
    plain, probed = zip(*((seconds(forward), seconds(probe)) for _ in range(rounds)), strict=True)
    return {
        "forward": {"seconds_per_step": statistics.median(plain), "peak_memory_gb": plain_peak},
        "probe": {"seconds_per_step": statistics.median(probed), "peak_memory_gb": probe_peak},
        "ratio": statistics.median(b / a for a, b in zip(plain, probed, strict=True)),
    }


def decode(network, prompt: int, batch: int, new: int, meter) -> dict:
    """{seconds_per_step, peak_memory_gb} of greedy generation, a step one more token of ``batch`` documents.

    The first token, which takes a pass over ``prompt`` tokens, and what is set up for it are left out.
    """
    import numpy as np

    from implicit_sparsity.corpora.tokens import Document
    from implicit_sparsity.passes import scoring

    vocabulary = network.config.get_text_config().vocab_size
    ids = np.random.default_rng(0).integers(3, vocabulary, (batch, prompt), dtype=np.uint32)
    documents = [Document(row, np.ones(prompt, bool), {}) for row in ids]

    def seconds(count):
        started = meter.now()
        scoring.generate(network, documents, count, None)
        return meter.now() - started

    seconds(2)
    meter.forget_peak()
    first = min(seconds(1) for _ in range(3))  # one that something delayed would make the others too fast
    each = (seconds(new) - first) / (new - 1)
    return {"seconds_per_step": each, "peak_memory_gb": meter.peak_gb()}
