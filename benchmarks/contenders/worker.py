"""One process that holds the model and runs one kind of contender when told to: one JSON line in, one out.

    python -m contenders.worker '{"model": ..., "documents": [...], "peers": ..., "options": {...}}'

Commands: {"do": name in ``passes``, "tokens": budget, "keep": bool, "plain": bool, "sums": file or null}. The
answer has wall and processor seconds, and the memory (MB) that the pass took at its highest above what the
process held before it.
"""

import ctypes
import json
import os
import sys
import time
import traceback
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"


def take(folders, tokens: int, options: dict):
    """The first documents of the folders' half ``probe_a``, their groups in turn, to the budget."""
    import itertools

    import numpy as np

    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.passes import activation_pass

    from .passes import Documents

    shards = [Tokens(folder) for folder in folders]
    documents = itertools.chain.from_iterable(each.split("probe_a") for each in shards)
    special = shards[0].index["special_ids"]
    ids, keeps, *_ = activation_pass.take_tokens(documents, tokens, options["skip_first"], special)
    if sum(int(keep.sum()) for keep in keeps) < tokens:
        raise ValueError(f"the documents hold fewer than {tokens} tokens that count: lower --tokens")
    groups = min(options["groups"], len(ids))
    dealt = np.arange(len(ids)) % groups if groups else None
    return Documents(ids, keeps, dealt, options["batch_tokens"])


def memory(what: str) -> float:
    """MB resident now (VmRSS) or at the highest since ``forget_peak`` (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) / 1024


def forget_peak() -> None:
    """Give freed memory back to the system and start VmHWM anew, or an earlier pass would be measured."""
    import gc

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


class Worker:
    def __init__(self, settings: dict):
        import torch

        from implicit_sparsity.models import loading

        torch.set_num_threads(1)
        self.settings, self.options, self.made = settings, settings["options"], {}
        self.network = loading.load(settings["model"], device="cpu")

    def run(self, do: str, tokens: int, keep: bool, plain: bool, sums: str | None) -> dict:
        import numpy as np
        import torch

        from implicit_sparsity.models import ffn
        from implicit_sparsity.passes.accumulators import ActivationStatistics

        from . import passes
        from .plain import PlainStatistics

        documents, options = take(self.settings["documents"], tokens, self.options), self.options
        groups = 0 if documents.groups is None else int(documents.groups.max()) + 1
        if not self.made:  # before a peer wraps the modules
            self.blocks = ffn.feed_forwards(self.network)
        if do not in self.made:
            self.made[do] = getattr(passes, do)(self.network)
        forget_peak()
        before = memory("VmRSS")
        with torch.inference_mode():
            wall, processor = time.perf_counter(), time.process_time()
            result = (PlainStatistics if plain else ActivationStatistics)(
                self.blocks, options["top_k"], options["thresholds"], "cpu", groups
            )
            self.made[do](result, documents, keep)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
        peak = memory("VmHWM") - before
        if sums:
            np.save(sums, result.sum_abs.numpy(), allow_pickle=False)
        counted = {"tokens": result.tokens, "documents": result.documents}
        return {"seconds": wall, "processor_seconds": processor, "peak_mb": peak} | counted


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is not an answer
    settings = json.loads(sys.argv[1])
    sys.path.append(settings["peers"])  # last: nothing of theirs replaces what runs here
    worker = None
    for line in sys.stdin:
        try:
            worker = worker or Worker(settings)
            answer = worker.run(**json.loads(line))
        except Exception as error:  # the parent's table says so, and the other contenders go on
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
