"""A stage's functional change: which network, which documents, what is refused."""

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.measurements.base import Subject
from implicit_sparsity.models import loading
from implicit_sparsity.options import load
from implicit_sparsity.storage.files import write_json

DOMAINS = ["math", "code"]  # as they were trained; the config has them the other way round


@pytest.fixture(scope="module")
def stages(nano, tmp_path_factory):
    """Two stages of LoRA, the second's update twice the first's: so is what it adds."""
    folders = []
    for number in (1, 2):
        folder = tmp_path_factory.mktemp(f"stage{number}")
        network = loading.load(nano("llama")[0], device="cpu")
        random = torch.Generator().manual_seed(0)
        size = 2.0 ** (number - 1)

        def fill(_, a, b, random=random, size=size):
            a.copy_(torch.randn(a.shape, generator=random))
            b.copy_(size * 0.01 * torch.randn(b.shape, generator=random))

        networks.make_adapter(network, folder, fill)
        study = {"method": "slow", "trained_domains": DOMAINS[:number], "seed": 0}
        study["previous_sha256"] = "x" if number > 1 else None
        record = {"study": study, "options": {"uses": "lora", "rank": 4}, "training": networks.TRAINING}
        write_json(folder / "stage.json", record)
        folders.append(str(folder))
    return folders


def subject(nano, stages, number=2):
    model, tokens = nano("llama")
    shards = {domain: Tokens(tokens[domain]) for domain in ("code", "math", "medical")}
    previous = stages[0] if number > 1 else None
    return Subject(str(model), {}, f"slow.o.seed0.stage{number}", shards, "", stages[number - 1], previous)


def test_documents_and_roles(nano, stages):
    given = subject(nano, stages)
    arrays, coords = load("measurements", "functional_change", documents=5).measure(given)
    assert coords["domain"][1].tolist() == DOMAINS and given.attrs["old"] == ["math"]
    assert given.attrs["new"] == "code" and given.attrs["protected"] == []
    group, sums = arrays["group"][1], arrays["sums"][1]
    assert (group[0] >= 0).all() and (group[1, 1] >= 0).all()
    assert (group[1, 0] < 0).all() and np.isnan(sums[1, 0]).all(), "the new domain made no promise yet"
    assert len(set(group[0, 1])) == 5, "a document of each group"
    kinds = set(coords["kind"][1].tolist())
    assert kinds == {"q", "k", "v", "o", "gate", "up", "down"} and len(coords["weight"][1]) == 14


def test_it_is_what_this_stage_added_at_the_network_before_it(nano, stages):
    """The second stage's dW is the first's: at the first network dW x / (W + dW) x, checked by hand."""
    model, _ = nano("llama")
    given = subject(nano, stages)
    arrays, coords = load("measurements", "functional_change", documents=3, skip_first=0).measure(given)
    base, first = loading.load(model, device="cpu"), given.load_other(stages[0])
    place = coords["weight"][1].tolist().index("layers.0.mlp.gate_proj")
    name = "layers.0.mlp.gate_proj"
    old, new = (network.model.get_submodule(name).weight.double() for network in (base, first))
    document = given.shards["code"].split("probe_a")[0]
    seen = []
    first.model.get_submodule(name).register_forward_pre_hook(lambda _, x: seen.append(x[0][0]))
    first.model(input_ids=torch.tensor(np.array(document.ids, np.int64))[None])
    x = seen[0].detach().double()
    wanted = [x.square().sum(), 0, (x @ new.T).square().sum(), 0, (x @ (new - old).T).square().sum()]
    np.testing.assert_allclose(arrays["sums"][1][1, 1, 0, place], wanted, rtol=1e-4)


def test_before_the_second_stage_there_is_no_old_domain(nano, stages):
    with pytest.raises(InputError, match="no old domain before stage 2"):
        load("measurements", "functional_change").measure(subject(nano, stages, 1))
