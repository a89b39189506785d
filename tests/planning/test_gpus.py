"""Devices by the names that torch gives them."""

import pytest

from implicit_sparsity.planning import gpus

DEVICES = {
    "NVIDIA A100-SXM4-40GB": {"a100_40gb", "a100_80gb"},  # speed does not depend on memory
    "NVIDIA A100-SXM4-80GB": {"a100_40gb", "a100_80gb"},
    "NVIDIA H100 80GB HBM3": {"h100_80gb"},
    "NVIDIA H200": {"h200"},
    "NVIDIA GH200 480GB": set(),  # of another speed
    "NVIDIA GeForce RTX 4090": set(),
    "cpu": set(),
    "": set(),
}


@pytest.mark.parametrize(("device", "named"), DEVICES.items())
def test_a_device_is_named_by_its_kind(device, named):
    assert {gpu for gpu in gpus.GPUS if gpus.is_named(gpu, device)} == named


def test_every_card_is_some_device():
    assert set.union(*DEVICES.values()) == set(gpus.GPUS)
