"""A model from scratch: whole passes, a held-out loss that tells learning from learning by heart."""

import json

import networks
import numpy as np
import pytest

from implicit_sparsity.training import pretraining

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
CONFIG = {
    key: value for key, value in networks.DENSE.items() if key not in ("vocab_size", "initializer_range")
}
BASE = {"source": "scratch", "config": CONFIG, "vocabulary": 320, "seed": 0}
BASE["pretraining"] = {"steps": 40, "batch_size": 4, "max_length": 32, "learning_rate": 1e-2}


def write_splits(folder, unseen):
    """24 documents that count upwards to train on, and ``unseen`` ones to choose by."""
    folder.mkdir(parents=True)
    counting = [" ".join(WORDS[(i + j) % 10] for j in range(8)) for i in range(24)]
    for name, texts in (("train", counting), ("select", unseen)):
        records = [{"prompt": text[:5], "completion": text[5:]} for text in texts]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def prepared(folder, unseen):
    splits = write_splits(folder / "splits", unseen)
    (folder / "model").mkdir()
    return pretraining.from_scratch(folder / "model", BASE, [splits], networks.TEMPLATE)


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    counting = [" ".join(WORDS[(i + j) % 10] for j in range(8)) for i in range(5, 9)]
    return prepared(tmp_path_factory.mktemp("alike"), counting)


def test_what_is_learned_shows_on_documents_like_those_trained_on(alike):
    steps, losses = zip(*alike["held_out_loss"])
    assert steps == tuple(range(4, 41, 4))
    assert losses[-1] < 0.6 * losses[0] and alike["pretraining_loss"][1] < 0.6 * alike["pretraining_loss"][0]
    assert "from scratch" in alike["note"] and "6.7 passes over 24 documents" in alike["note"]
    assert alike["revision"].startswith("scratch-") and alike["parameters"] > 10_000


def test_it_does_not_show_on_others(alike, tmp_path):
    """The same training beside documents of other words: their loss says that nothing was learned of them."""
    random = np.random.default_rng(0)
    unseen = ["".join(map(chr, random.integers(97, 123, 40))) for _ in range(4)]
    other = prepared(tmp_path, unseen)
    assert other["pretraining_loss"] == alike["pretraining_loss"] and other["revision"] == alike["revision"]
    assert other["held_out_loss"][-1][1] > 2 * alike["held_out_loss"][-1][1]
