"""Scratch folders: of one key and one output."""

from implicit_sparsity.provenance import cache


def test_scratch_keeps_its_key_and_drops_others(tmp_path):
    output = tmp_path / "adapters" / "lora.stage1"
    first = cache.scratch(output, "settings", 1)
    (first / "step").write_text("7")
    neighbour = cache.scratch(tmp_path / "adapters" / "lora.stage10", "settings", 1)
    assert (cache.scratch(output, "settings", 1) / "step").read_text() == "7"
    second = cache.scratch(output, "settings", 2)
    assert second.is_dir() and not first.exists() and neighbour.is_dir()
    assert second.parent == output.parent
