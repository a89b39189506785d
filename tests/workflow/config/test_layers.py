"""Layers of a config by hand: what is laid over what, what is switched off, and who said it last."""

import pytest

from implicit_sparsity.workflow.config import layers
from implicit_sparsity.workflow.config.error import ConfigError


def test_layers_are_merged_key_by_key_and_false_removes():
    below = {"methods": {"lora": {"rank": 8, "alpha": 2}, "full": {}}, "seeds": [0, 1], "keep": False}
    above = {"methods": {"lora": {"rank": 4}, "full": False}, "seeds": [2]}
    whole = layers.laid_over([("a", below), ("b", above)])
    assert whole == {"methods": {"lora": {"rank": 4, "alpha": 2}}, "seeds": [2], "keep": False}
    assert below["methods"]["full"] == {} and below["methods"]["lora"]["rank"] == 8, "neither is changed"


def test_the_reference_set_goes_with_its_domain():
    below = {"domains": {"x": {}, "known": {}}, "reference": "known"}
    for above, expected in (({"known": False}, False), ({"x": False}, "known"), ({"known": {}}, "known")):
        assert layers.laid_over([("a", below), ("b", {"domains": above})])["reference"] == expected
    unknown = layers.laid_over([("a", below), ("b", {"reference": "knwon"})])
    assert unknown["reference"] == "knwon", "is refused where references are checked"


def test_parts_lie_right_above_their_file_and_the_last_of_a_name_counts():
    part, other = {"methods": {"lora": {}}}, {"methods": {"full": {}}}
    files = [("a", {"optional": {"x": part, "y": {}}}), ("b", {"optional": {"x": other, "y": False}})]
    parts = layers.optional_parts(files)
    assert parts == {"x": (1, other)}
    files.append(("c", {"with": "x"}))
    assert layers.asked_parts(files, parts) == parts and layers.asked_parts(files[:2], parts) == {}
    names = [name for name, _ in layers.with_parts(files, parts)]
    assert names == ["a", "b", "b (optional.x)", "c"]
    with pytest.raises(ConfigError):
        layers.asked_parts([("c", {"with": ["z"]})], parts)


def test_the_last_layer_that_says_it_is_named_or_the_nearest_above():
    files = [("a", {"probes": {"k": [1, 2]}}), ("b", {"probes": {}}), ("c", {"seeds": [0]})]
    assert layers.file_of(("probes", "k", 1), files) == "a"
    assert layers.file_of(("probes", "missing"), files) == "b" and layers.file_of(("seeds",), files) == "c"
