"""Joint training: every domain equally, as many steps as all stages so far."""

from collections import Counter

import networks
import pytest
from test_methods import train, trained  # noqa: F401 (a fixture)

from implicit_sparsity.options import load
from implicit_sparsity.training.stage import Stage


def pool(nano, domains, folders, steps, seed=0):
    """What joint training mixes, as a count of (domain, document)."""
    settings = networks.TRAINING | {"steps": steps}
    stage = Stage(str(nano("dense")[0]), domains, folders, seed, settings, model="not run")
    owner = {
        bytes(d.ids): (name, i) for name in domains for i, d in enumerate(stage.documents("train", name))
    }
    mixed = load("methods", "joint").mix(stage.documents("train"), stage)
    return Counter(owner[bytes(document.ids)] for document in mixed)


@pytest.mark.parametrize("steps, each", [(3, 12), (6, 24), (500, 24)])
def test_every_domain_gives_equally_many_documents(nano, tmp_path, steps, each):
    """4 documents a step; 24, 24 and 10 train documents: what a stage alone would see, 24 at most."""
    model, tokens = nano("dense")
    few = networks.make_tokens(tmp_path / "few", model, "medical", documents=10)
    domains, folders = ["code", "math", "medical"], [tokens["code"], tokens["math"], few]
    result = pool(nano, domains, folders, steps)
    assert Counter({d: sum(n for (o, _), n in result.items() if o == d) for d in domains}) == dict.fromkeys(
        domains, each
    )
    for domain, count in (("code", 24), ("medical", 10)):  # none twice before all came once
        times = [result[domain, i] for i in range(count)]
        assert max(times) - min(times) <= 1
    assert result == pool(nano, domains, folders, steps)
    if steps == 3:
        assert result != pool(nano, domains, folders, steps, seed=1)


def test_takes_the_steps_of_all_stages_and_needs_no_past(trained, nano, tmp_path):  # noqa: F811
    """Stage 1 is plain LoRA to the bit; stage 2 takes twice the steps, whatever came before."""
    first, second = (run[0] for run in trained("dense", "joint"))
    lora = trained("dense", "lora")[0][0]
    assert [len(run[2]["curve"]) for run in trained("dense", "joint")] == [4, 8]
    file = "adapter_model.safetensors"
    assert (first / file).read_bytes() == (lora / file).read_bytes()
    train(nano, "dense", "joint", 2, tmp_path / "alone", previous=None)
    assert (tmp_path / "alone" / file).read_bytes() == (second / file).read_bytes()
