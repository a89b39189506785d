"""What a stage's update does to the outputs of each weight, on inputs of its old domains and of the new one.

At the network before the stage (the one it went on from: there the newest old domain's protection was made;
of older domains the inputs have moved since). Old domains: documents of the probe halves, which no method
has seen, spread over groups, and the first ones of the select split, from which methods read what they
protect. The new domain: documents of the probe halves.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters
from implicit_sparsity.models.weight_names import kind_of, layer_of
from implicit_sparsity.options import load, option
from implicit_sparsity.passes import document_groups, functional_change, stage_change, write_energy
from implicit_sparsity.storage.files import read_json
from implicit_sparsity.training.stage import Stage

from .base import Forward, Measurement

SPLITS = ("select", "held_out")


@dataclass
class FunctionalChange(Measurement):
    """Sums of squares of x, W x, dW x and of what is protected, by document and weight."""

    stages: str = option("all", choices=("final", "all"), help="stages from the second on: the last, or all")
    documents: int = option(
        10,
        low=1,
        high="splits.probe",
        help="of each domain and split, at most; 10 groups make an interval",
    )
    skip_first: int = option(
        1, low=0, below="tokens.max_length", help="leading tokens of each document that are left out"
    )
    batch_tokens: int = option(512, low=1, help="tokens of one forward pass; memory grows with it")

    SCOPE = "checkpoint"
    NEEDS: ClassVar[tuple] = ("previous",)
    FIRST_STAGE = 2  # before it there is no old domain
    TITLE = "Functional change of {model} by {checkpoint}"
    MINUTES = 30
    LIGHTER: ClassVar[dict] = {"batch_tokens": None}

    def measure(self, subject):
        if not (subject.adapter and subject.previous):
            raise InputError("there is no old domain before stage 2", key="probes.functional_change")
        record = read_json(Path(subject.adapter) / "stage.json")
        domains = record["study"]["trained_domains"]
        # some methods start every stage from the base
        before = subject.previous if record["study"]["previous_sha256"] else None
        network = subject.load_other(before)
        changes = stage_change.changes(subject.adapter, before, subject.model)
        protected = protection(record, network, changes, subject, before)
        values, groups, names = {}, {}, []
        for domain in domains:
            for split, documents in self.documents_of(subject, domain, domain == domains[-1]).items():
                ids = [np.asarray(document.ids) for document in documents]
                where = (network, changes, protected)
                names, sums = functional_change.measure(*where, ids, self.skip_first, self.batch_tokens)
                if not np.isfinite(sums).all():
                    raise InputError(f"outputs on {domain} are not finite", path=subject.adapter)
                values[domain, split], groups[domain, split] = sums, document_groups.names(documents)
        subject.attrs |= {"old": domains[:-1], "new": domains[-1], "protected": sorted(protected)}
        return as_store(values, groups, names, domains)

    def documents_of(self, subject, domain, new: bool) -> dict:
        """split -> documents."""
        both = (document for pair in zip(*subject.halves(domain).values()) for document in pair)
        held_out = document_groups.in_turn(both)[: self.documents]
        if new:
            return {"held_out": held_out}
        select = document_groups.in_turn(subject.shards[domain].split("select"))[: self.documents]
        return {"select": select, "held_out": held_out}

    def passes(self, domains, length, stage):
        """Two splits of each old domain, one of the new; beside the pass, the products with dW and U."""
        return [Forward(1.3 * (2 * stage - 1) * self.documents * length, self.batch_tokens, head=False)]


def protection(record: dict, network, changes: dict, subject, before) -> dict:
    """Plain name -> Protected of the weights that changed, as the stage's method has it."""
    options = dict(record["options"])
    method = load("methods", options.pop("uses", record["study"]["method"]), **options)
    study = record["study"]
    precision = record["training"] | {"precision": subject.base.get("precision", "fp32")}
    stage = Stage(
        subject.model, study["trained_domains"], [], study["seed"], precision, before, model=network
    )
    result = {write_energy.plain(name): value for name, value in method.protected(stage, changes).items()}
    return {name: value for name, value in result.items() if name in changes}


def as_store(values: dict, groups: dict, names: list, domains: list) -> tuple[dict, dict]:
    """(arrays, coordinates) for ``store.write_store``; of each (domain, split) values [document, weight,
    quantity] and each document's group."""
    documents = max(len(each) for each in groups.values())
    shape = (len(domains), len(SPLITS), documents)
    sums = np.full((*shape, len(names), len(functional_change.QUANTITIES)), np.nan)
    owner = np.full(shape, -1, np.int64)
    for (domain, split), each in groups.items():
        place = domains.index(domain), SPLITS.index(split)
        sums[(*place, slice(len(each)))] = values[domain, split]
        owner[(*place, slice(len(each)))] = clusters.places(each)
    dims = ("domain", "split", "document")
    arrays = {
        "sums": (
            (*dims, "weight", "quantity"),
            sums,
            {"long_name": "sum of squares over a document's tokens", "units": "activation^2"},
        ),
        "group": (dims, owner, {"long_name": "group of the document, -1: no document", "units": "1"}),
    }
    layers = np.array([layer_of(name) for name in names])
    kinds = np.array([kind_of(name) for name in names])
    words = {
        "domain": ("domain", np.array(domains), "domain of the documents, as they were trained"),
        "split": ("split", np.array(SPLITS), "select: from which is read what is protected"),
        "weight": ("weight", np.array(names), "weight that the stage changed"),
        "kind": ("weight", kinds, "kind of module"),
        "layer": ("weight", layers, "index of the decoder layer, from 0"),
        "quantity": ("quantity", np.array(functional_change.QUANTITIES), "of what the norm is"),
    }
    coords = {
        n: ((dim,), labels, {"long_name": text, "units": "1"}) for n, (dim, labels, text) in words.items()
    }
    return arrays, coords
