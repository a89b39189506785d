"""The plan as text calls a sweep by its method, a setting by its own name where it takes something else."""

from implicit_sparsity.planning import report

FAMILIES = {"lora_low": "lora", "lora_high": "lora", "wide_r8": "wide", "wide_r64": "wide", "full": "full"}


def test_a_sweep_is_one_name():
    groups = [["lora_low", "lora_high", "full"]]
    assert report.by_family(groups, FAMILIES) == ["lora, full"]


def test_settings_that_differ_keep_their_names():
    groups = [["lora_low", "lora_high", "wide_r8"], ["wide_r64"], [""]]
    assert report.by_family(groups, FAMILIES) == ["lora, wide_r8", "wide_r64", ""]


def test_what_all_take_names_none():
    assert report.by_family([[""], ["a_1", "a_2", "b", "c", "d"]], {"a_1": "a", "a_2": "a"}) == [
        "",
        "of all methods",
    ]
    assert report.by_family([["a", "b", "c"]], {}) == ["a, b, c"]
    assert report.by_family([["a", "b", "c", "d"], ["e"]], {}) == ["a, b, c, d", "e"]
    split = {"d_1": "d", "d_2": "d", "d_3": "d"}  # as many names as there are methods, but not all of them
    assert report.by_family([["a", "b", "c", "d_1", "d_2"], ["d_3", "e"]], split) == [
        "a, b, c, d_1, d_2",
        "d_3, e",
    ]


def test_rows_of_memory():
    small, large = {"weights": 1e9, "total": 1e9}, {"weights": 2e9, "total": 2e9}
    cases = {
        "train_adapter lora_low": small,
        "train_adapter lora_high": small,
        "train_adapter wide_r8": small,
        "train_adapter wide_r64": large,
        "evaluate_checkpoint": small,
        "evaluate_checkpoint wide_r8": small,
        "evaluate_checkpoint wide_r64": small,
    }
    rows = [line.split("|")[1].strip() for line in report.memory(cases, {}, FAMILIES).splitlines()[2:]]
    assert rows == ["train_adapter lora, wide_r8", "train_adapter wide_r64", "evaluate_checkpoint wide"]


def test_trained_in_a_stage():
    numbers = {"lora_low": 2e6, "lora_high": 2e6, "wide_r8": 2e6, "wide_r64": 16e6}
    assert report.trainable(numbers, FAMILIES) == "lora 2 M, wide_r8 2 M, wide_r64 16 M"
    assert report.trainable(numbers, {}) == "lora_low 2 M, lora_high 2 M, wide_r8 2 M, wide_r64 16 M"
