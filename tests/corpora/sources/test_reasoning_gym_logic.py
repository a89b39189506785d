"""Puzzles of logic: what follows, by hand."""

from implicit_sparsity.corpora.sources.reasoning_gym_logic import _follows


def test_syllogisms_by_hand():
    barbara = (("All", 0, False, 1), ("All", 1, False, 2), ("All", 0, False, 2))
    undistributed = (("All", 0, False, 1), ("All", 2, False, 1), ("Some", 0, False, 2))
    two_negatives = (("No", 0, False, 1), ("No", 1, False, 2), ("Some", 0, True, 2))
    darapti = (("All", 1, False, 0), ("All", 1, False, 2), ("Some", 0, False, 2))  # needs a B to exist
    assert [_follows(form) for form in (barbara, undistributed, two_negatives, darapti)] == [
        True, False, False, True,
    ]  # fmt: skip
