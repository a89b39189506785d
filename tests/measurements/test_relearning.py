"""Old domains taught again: what a planted shift costs comes back, what is taught is what was planned."""

import numpy as np
import pytest
import torch

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.measurements.base import Subject
from implicit_sparsity.models import loading
from implicit_sparsity.models.batching import collate
from implicit_sparsity.options import load
from implicit_sparsity.passes.fresh_adapter import FreshAdapter
from implicit_sparsity.passes.relearning import content_losses
from implicit_sparsity.training.pretraining import EveryWeight

OPTIONS = {"documents": [4, 12], "relearn": [4, 12], "scored": 12, "batch_size": 2, "rank": 2}
OPTIONS |= {"learning_rate": 0.02, "batch_tokens": 200}
ORDERS = {"o": ["code", "math"]}
LAST = "lora.o.seed0.stage2"


class Counting(Subject):
    """Notes what is loaded, and the tokens that networks see with and without a gradient."""

    def load_other(self, adapter):
        network = super().load_other(adapter)
        self.attrs.setdefault("loaded", []).append(adapter)
        network.get_input_embeddings().register_forward_hook(self.count)
        return network

    def count(self, module, given, result):
        kind = "scored" if torch.is_inference_mode_enabled() else "trained"
        self.attrs[kind] = self.attrs.get(kind, 0) + given[0].shape[0]


@pytest.fixture(scope="module")
def stages(nano, tmp_path_factory):
    """(a model that has learned a domain, the same whose last layer writes one direction more, about the same
    whatever it reads): folders of whole models."""
    folder, (model, tokens) = tmp_path_factory.mktemp("stages"), nano("llama")
    documents = list(Tokens(tokens["code"]).split("train"))
    batches = [collate(documents[i : i + 4]) for _ in range(8) for i in range(0, 24, 4)]
    adapter = FreshAdapter(loading.load(model, device="cpu"), 8, "test")
    method = EveryWeight(0.02, len(batches), [])
    options = {"learning_rate": 0.02, "gradient_checkpointing": False}
    adapter.learn(method, batches, options, folder / "scratch", 0)
    network, inputs = adapter.model.eval().merge_and_unload(), []
    network.save_pretrained(str(folder / "own"))
    down = network.model.layers[-1].mlp.down_proj
    hook = down.register_forward_hook(lambda module, given, _: inputs.append(given[0].flatten(0, -2)))
    with torch.no_grad():
        content_losses(network, documents, 400)
        mean, hook = torch.cat(inputs).mean(0), hook.remove()
        direction = torch.randn(len(down.weight), generator=torch.Generator().manual_seed(0))
        down.weight.add_(16 * torch.outer(direction, mean) / (mean @ mean))
    network.save_pretrained(str(folder / "shifted"))
    return str(folder / "own"), str(folder / "shifted")


@pytest.fixture(scope="module")
def own(stages):
    return stages[0]


@pytest.fixture(scope="module")
def shifted(stages):
    return stages[1]


def subject_of(nano, scratch, checkpoint, adapter=None, earlier=(), reference="", cls=Subject, domains=None):
    model, tokens = nano("llama")
    shards = {domain: Tokens(tokens[domain]) for domain in domains or ("code", "math", "medical")}
    scratch.mkdir(exist_ok=True)
    subject = cls(str(model), {}, checkpoint, shards, adapter=adapter, earlier=list(earlier), orders=ORDERS)
    subject.reference, subject.scratch = reference, lambda: scratch
    return subject


def losses(subject, **options):
    """({array: values}, {coordinate: values}) of a measurement."""
    arrays, coords = load("measurements", "relearning", **(OPTIONS | options)).measure(subject)
    return {name: part[1] for name, part in arrays.items()}, {
        n: part[1].tolist() for n, part in coords.items()
    }


def test_a_planted_shift_comes_back_with_few_documents(nano, shifted, own, tmp_path):
    subject = subject_of(nano, tmp_path / "s", LAST, shifted, [own])
    values, coords = losses(subject)
    assert coords["domain"] == ["code"] and coords["taught"] == [0, 4, 12]
    assert subject.attrs["unrelated"] == "medical", "the one domain that no order trains"
    before, few, many = values["loss_content"][0, 0].mean(axis=-1)
    forgotten = before - values["own_stage"].mean()
    assert forgotten > 0.5, "the shift costs"
    assert many < few < before and (before - many) / forgotten > 0.5
    assert np.isnan(values["loss_content"][0, 1, 1]).all(), "unrelated documents are scored at the end"
    assert values["loss_content"][0, 1, 2].mean() < before, "unrelated documents undo a shift of all, too"
    np.testing.assert_array_equal(values["loss_content"][0, 0, 0], values["loss_content"][0, 1, 0])


def test_without_learning_nothing_comes_back(nano, shifted, own, tmp_path):
    subject = subject_of(nano, tmp_path / "s", LAST, shifted, [own])
    values, _ = losses(subject, learning_rate=1e-9)
    before, few, many = values["loss_content"][0, 0]
    np.testing.assert_allclose(few, before, atol=1e-4)
    np.testing.assert_allclose(many, before, atol=1e-4)


def test_losses_are_those_of_content_of_the_documents_that_evaluations_score(nano, own, tmp_path):
    subject = subject_of(nano, tmp_path / "s", LAST, own, [own])
    values, _ = losses(subject)
    split = subject.shards["code"].split("eval")
    expected = content_losses(subject.load(), [split[i] for i in range(12)], 200)
    np.testing.assert_allclose(values["own_stage"][0], expected, rtol=1e-5)
    np.testing.assert_allclose(values["loss_content"][0, 0, 0], expected, rtol=1e-5)
    assert values["group"].tolist() == [list(range(12))], "every document of these is a group"


def test_fewer_documents_are_the_beginning_of_more(nano, shifted, own, tmp_path):
    both, _ = losses(subject_of(nano, tmp_path / "a", LAST, shifted, [own]))
    one, _ = losses(subject_of(nano, tmp_path / "b", LAST, shifted, [own]), documents=[4], relearn=[4])
    np.testing.assert_allclose(one["loss_content"][:, 0, 1], both["loss_content"][:, 0, 1], rtol=1e-5)


def test_what_is_taught_and_loaded_is_what_is_planned(nano, shifted, own, tmp_path):
    measurement = load("measurements", "relearning", **OPTIONS)
    subject = subject_of(nano, tmp_path / "a", LAST, shifted, [own], cls=Counting)
    measurement.measure(subject)
    learned, scored = measurement.passes(2, 1.0, 2)  # a document is a token of the plan
    assert subject.attrs["loaded"] == [own, shifted] and scored.loads == 1
    assert subject.attrs["trained"] == learned.tokens == 2 * 12 and learned.steps == 2 * 6
    assert subject.attrs["scored"] == scored.tokens == 5 * 12
    base = subject_of(nano, tmp_path / "b", "base", cls=Counting)
    measurement.measure(base)
    learned, scored = measurement.passes(2, 1.0, 0)
    assert base.attrs["loaded"] == [None] and scored.loads == 0
    assert base.attrs["trained"] == learned.tokens == 12 and base.attrs["scored"] == scored.tokens == 3 * 12


def test_the_base_model_is_taught_every_domain_that_becomes_old(nano, tmp_path):
    subject = subject_of(nano, tmp_path / "s", "base")
    subject.orders = {"o": ["code", "math", "medical"], "p": ["math", "code"]}
    values, coords = losses(subject, relearn=[4])
    assert coords["domain"] == ["code", "math"] and coords["taught"] == [0, 4, 12]
    assert np.isnan(values["own_stage"]).all() and np.isnan(values["loss_content"][:, 1, 1:]).all()
    taught = values["loss_content"][:, 0]
    assert np.isfinite(taught[:, :2]).all() and np.isnan(taught[:, 2]).all()
    assert (taught[:, 1].mean(axis=-1) < taught[:, 0].mean(axis=-1)).all()


def test_which_domain_is_unrelated(nano, own, tmp_path, caplog):
    def chosen(orders, domains=("code", "math", "medical"), reference="", **options):
        subject = subject_of(nano, tmp_path, "m.o.seed0.stage1", own, reference=reference, domains=domains)
        subject.orders = orders
        return load("measurements", "relearning", **(OPTIONS | options))._domains(subject)[1]

    short, long = {"o": ["code"]}, {"o": ["code"], "p": ["math", "code"]}
    assert chosen(short) == "math" and chosen(short, reference="medical") == "medical"
    assert chosen(short, reference="medical", unrelated="math") == "math"
    assert chosen(long) == "medical", "rather one that is in no order"
    assert chosen(long, domains=("code", "math")) == "math"
    assert chosen(short, domains=("code",)) == "" and "no unrelated documents" in caplog.text
    with pytest.raises(InputError, match="'code' is trained in this order"):
        chosen(short, unrelated="code")


class Killed(Subject):
    """Loses its network in the midst of a training."""

    def load(self):
        network = super().load()
        seen = []

        def count(module, given, result):
            if not torch.is_inference_mode_enabled():
                seen.append(1)
                if len(seen) > self.attrs["after"]:
                    raise KeyboardInterrupt

        network.get_input_embeddings().register_forward_hook(count)
        return network


@pytest.mark.parametrize("after", [6, 9])  # steps; 6 for the old domain, 6 for the unrelated one
def test_a_killed_attempt_is_taken_up(nano, shifted, own, tmp_path, after):
    whole, _ = losses(subject_of(nano, tmp_path / "whole", LAST, shifted, [own]))
    killed = subject_of(nano, tmp_path / "killed", LAST, shifted, [own], cls=Killed)
    killed.attrs["after"] = after
    with pytest.raises(KeyboardInterrupt):
        losses(killed)
    again = subject_of(nano, tmp_path / "killed", LAST, shifted, [own], cls=Counting)
    values, _ = losses(again)
    np.testing.assert_allclose(values["loss_content"], whole["loss_content"], rtol=1e-5)
    assert again.attrs["trained"] == 12, "the domain that was finished is not taught again"


def test_what_does_not_fit_is_refused(nano, own, tmp_path):
    with pytest.raises(InputError, match=r"^relearn: found .*12.*, allowed: numbers among documents"):
        load("measurements", "relearning", **(OPTIONS | {"documents": [4]}))
    with pytest.raises(InputError, match=r"the train split holds 24 documents.*30 are wanted"):
        losses(subject_of(nano, tmp_path / "a", LAST, own, [own]), documents=[4, 30], relearn=[4])
    with pytest.raises(InputError, match="the eval split holds 24 documents, 25 are wanted"):
        losses(subject_of(nano, tmp_path / "b", LAST, own, [own]), scored=25)


def test_the_job_hands_over_orders_stages_and_the_reference_set(nano, own, shifted, tmp_path):
    from measure import measure

    from implicit_sparsity.storage.store import open_store

    model, tokens = nano("llama")
    domains = ["code", "math", "medical"]
    what = {}, "relearning", domains, LAST, OPTIONS | {"documents": [2], "relearn": [2], "scored": 4}
    more = {"adapter": shifted, "earlier": own, "orders": ORDERS, "reference": "medical", "name": "nano"}
    measure(str(tmp_path / "s.zarr"), str(model), [str(tokens[domain]) for domain in domains], *what, **more)
    store = open_store(tmp_path / "s.zarr")
    assert store["domain"].values.tolist() == ["code"] and store.attrs["unrelated"] == "medical"
    assert np.isfinite(store["own_stage"].values).all() and list(tmp_path.iterdir()) == [tmp_path / "s.zarr"]
