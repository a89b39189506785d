"""Independent adapters: a stage is what its domain learns without a past."""

import pytest
from test_methods import KINDS, train, trained  # noqa: F401 (a fixture)

FILE = "adapter_model.safetensors"


@pytest.mark.parametrize("kind", KINDS)
def test_second_stage_is_lora_whose_past_is_left_out(trained, nano, kind, tmp_path):  # noqa: F811
    first, second = (run[0] for run in trained(kind, "independent"))
    _, continued = (run[0] for run in trained(kind, "lora"))
    train(nano, kind, "lora", 2, tmp_path / "alone", previous=None)
    assert (second / FILE).read_bytes() == (tmp_path / "alone" / FILE).read_bytes()
    assert (second / FILE).read_bytes() != (continued / FILE).read_bytes()
    assert (first / FILE).read_bytes() == (trained(kind, "lora")[0][0] / FILE).read_bytes()
