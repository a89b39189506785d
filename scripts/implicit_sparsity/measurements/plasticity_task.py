"""A fixed task of random pairs learned from a checkpoint, and its ranks and dormant neurons on documents."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.metrics import clusters
from implicit_sparsity.models import ffn
from implicit_sparsity.options import option
from implicit_sparsity.passes import plasticity

from .base import Forward, Measurement, Training

METADATA = {
    "before": (("task", "pair"), "loss of a pair before learning", "nats per token"),
    "after": (("task", "pair"), "loss of a pair after learning", "nats per token"),
    "curve": (("task", "step"), "mean loss after so many steps", "nats per token"),
    "effective_rank": (("domain", "layer", "left_out"), "effective rank of hidden states", "directions"),
    "stable_rank": (("domain", "layer", "left_out"), "stable rank of hidden states", "directions"),
    "dormant_share": (("domain", "tau", "layer", "left_out"), "share of dormant neurons", "1"),
    "sampled": (("domain",), "sampled hidden states of a layer", "tokens"),
}


@dataclass
class PlasticityTask(Measurement):
    """What a fresh LoRA learns from a checkpoint, the same one at every checkpoint."""

    tasks: int = option(2, low=2, help="by seed: the spread between them is the noise floor")
    pairs: int = option(8, low=2, help="prompts and completions of a task; all are in the batch of a step")
    prompt: int = option(8, low=1, help="random tokens of a prompt")
    completion: int = option(8, low=1, help="random tokens of a completion")
    steps: int = option(6, low=1, help="optimizer steps that a task is learned for")
    rank: int = option(8, low=1, help="of the fresh LoRA that learns")
    learning_rate: float = option(5.0e-3, above=0, high=1, help="peak of AdamW's, with one step of warm-up")
    documents: int = option(
        10, low=4, high="splits.probe", help="documents of each domain, for ranks and dormant neurons"
    )
    positions: int = option(16, low=1, help="tokens sampled from each for the ranks")
    tau: tuple[float, ...] = option(
        (0.0, 0.025, 0.1), low=0, below=1, help="dormant: mean |h| at most this share of the layer's"
    )
    skip_first: int = option(
        1, low=0, below="tokens.max_length", help="leading tokens of each document that are left out"
    )
    batch_tokens: int = option(512, low=1, help="tokens of one forward pass")
    gradient_checkpointing: bool = option(False, help="as under training")

    SCOPE = "checkpoint"
    TITLE = "Plasticity of {model} ({checkpoint})"
    MINUTES = 30
    LIGHTER: ClassVar[dict] = {"gradient_checkpointing": True, "rank": None}

    def measure(self, subject):
        network, options = subject.load(), self.settings()
        layers = np.arange(len(ffn.feed_forwards(network)))
        result, width = self._observed(subject, network)
        index = subject.shards[list(subject.shards)[-1]].index
        drawn = index["vocab_size"], index["special_ids"], options
        tasks = [plasticity.task(seed, *drawn) for seed in range(self.tasks)]
        result |= plasticity.learn(network, tasks, options, subject.scratch())
        subject.attrs |= {"vocabulary": index["vocab_size"], "hidden": width}
        arrays = {
            measure: (dims, np.asarray(result[measure]), {"long_name": long_name, "units": units})
            for measure, (dims, long_name, units) in METADATA.items()
        }
        domains = {"long_name": "domain of the documents", "units": "1"}
        documents = {"long_name": "group of a document; left_out goes through them", "units": "1"}
        tau = {"long_name": "dormant below tau * mean", "units": "1"}
        coords = {
            "domain": (("domain",), np.array(list(subject.shards)), domains),
            "layer": layers,
            "group": (("domain", "document"), np.array(result["group"]), documents),
            "tau": (("tau",), np.array(self.tau, float), tau),
        }
        return arrays, coords

    def _observed(self, subject, network) -> tuple[dict, int]:
        """({measure: values of each domain}, hidden width) of ranks and dormant neurons."""
        blocks, options = ffn.feed_forwards(network), self.settings()
        result = {name: [] for name in (*METADATA, "group")}
        owners = [block.owner.numpy() for block in blocks]
        for domain in subject.shards:
            split, special = subject.halves(domain)["a"], subject.special_ids(domain)
            ids, keeps, names = plasticity.reference(split, special, options, subject.where(domain))
            hidden, owner, sums = plasticity.observe(network, ids, keeps, self.positions, self.batch_tokens)
            for measure, values in plasticity.ranks(hidden, clusters.places(names)[owner]).items():
                result[measure].append(values)
            result["dormant_share"].append(plasticity.dormant(sums, owners, self.tau, names))
            result["sampled"].append(len(owner))
            result["group"].append(names)
        ragged = ("effective_rank", "stable_rank", "dormant_share")
        return result | {name: clusters.filled(result[name]) for name in ragged}, hidden.shape[-1]

    def passes(self, domains, length, stage):
        row, steps, again = (
            self.prompt + self.completion,
            self.tasks * self.steps,
            self.gradient_checkpointing,
        )
        learned = Training(steps * self.pairs * row, steps, self.rank, self.pairs, row, again)
        return [learned, Forward(self.documents * domains * length, self.batch_tokens, head=False)]
