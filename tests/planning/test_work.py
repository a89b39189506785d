"""FLOPs by formula against torch's own counter, on real networks."""

import networks
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from implicit_sparsity.models import adapters, forward, loading
from implicit_sparsity.planning import memory, shapes, trained, work

TOKENS, LENGTH = 256, 128  # two rows; whole chunks of Gated DeltaNet


def network(kind):
    """With attention by plain products and experts one by one: what the counter knows."""
    made = loading.create(networks.CONFIGS[kind], 0).requires_grad_(False)
    made.set_attn_implementation("eager")
    if kind == "mixture":
        made.config._experts_implementation = "eager"
    return made


def counted(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def ids():
    return torch.randint(0, 300, (TOKENS // LENGTH, LENGTH))


@pytest.mark.parametrize("kind", networks.CONFIGS)
def test_forward(kind):
    model, shape = network(kind), shapes.of_config(networks.CONFIGS[kind])
    real = counted(lambda: forward.hidden_states(model, ids()))
    solves = work.deltanet_flops(shape)["solves"] * shape.kinds.count(
        "linear_attention"
    )  # not counted by torch
    formula = TOKENS * (work.body_flops(shape, LENGTH) - solves)
    assert formula == pytest.approx(real, rel=0.02)


@pytest.mark.parametrize("kind", networks.CONFIGS)
def test_head(kind):
    model, shape = network(kind), shapes.of_config(networks.CONFIGS[kind])
    hidden = torch.randn(TOKENS, shape.hidden)
    assert counted(lambda: forward.head(model)(hidden)) == TOKENS * work.head_flops(shape)


@pytest.mark.parametrize("kind", networks.CONFIGS)
def test_training_step(kind):
    """Forward and backward of a LoRA step without checkpointing; the head is not computed again."""
    shape = shapes.of_config(networks.CONFIGS[kind])
    model = adapters.add_lora(network(kind), 4, 8).train()
    method = trained.of_method(shape, "lora", {"rank": 4})
    setting = memory.Setting(max_length=LENGTH, batch_size=TOKENS // LENGTH)

    def step():
        forward.head(model)(forward.hidden_states(model, ids())).float().logsumexp(-1).sum().backward()

    real = counted(step)
    solves = work.deltanet_flops(shape)["solves"] * shape.kinds.count("linear_attention")
    formula = work.train_flops(shape, method, setting, TOKENS, 1, 2 * LENGTH) - TOKENS * work.head_flops(
        shape
    )
    formula -= TOKENS * 3 * solves
    assert formula == pytest.approx(real, rel=0.12)


def test_published_sizes():
    """At full size a forward pass is two FLOPs an active weight, and a little more."""
    from test_shapes import QWEN_27B, QWEN_35B_A3B

    for config in (QWEN_27B, QWEN_35B_A3B):
        shape = shapes.of_config(config)
        met = shape.active_total - shape.parts["embedding"] - shape.parts["head"]
        assert 1.0 < work.body_flops(shape, 1024) / (2 * met) < 1.15
