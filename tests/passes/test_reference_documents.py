"""Which documents and tokens measurements take: counted by hand."""

import numpy as np
import pytest
from networks import document

from implicit_sparsity.errors import InputError
from implicit_sparsity.passes import reference_documents


def test_special_and_leading_tokens_do_not_count():
    result = reference_documents.counting([7, 1, 5, 2, 5], {2, 1}, skip_first=1)
    np.testing.assert_array_equal(result, [False, False, True, False, True])
    assert not reference_documents.counting([3, 4], (), skip_first=5).any()


@pytest.mark.parametrize("size", range(9))
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_evenly_spaced_places_are_the_middles_of_equal_parts(size, count):
    places = 10 * np.arange(size)
    result = reference_documents.evenly(places, count)
    parts = min(size, count)
    middles = [size * (i + 0.5) / parts for i in range(parts)]
    np.testing.assert_array_equal(result, [10 * int(middle) for middle in middles])


def test_the_first_documents_that_are_wanted_and_no_fewer():
    split = [document([1, 2], 2), document([3, 4], 1), document([5], 1), document([6, 7, 8], 1)]
    result = reference_documents.first_documents(split, 2, "here")
    assert [d.ids[0] for d in result] == [3, 6], "the others have no token that follows a prompt"
    short = reference_documents.first_documents(split, 2, "here", wanted=lambda d: len(d.ids) < 3)
    assert [d.ids[0] for d in short] == [1, 3]
    groups = [document([i, 2], 1, group) for i, group in enumerate("aabac")]
    assert [d.ids[0] for d in reference_documents.first_documents(groups, 4, "here")] == [0, 2, 4, 1]
    with pytest.raises(InputError, match="2 documents with a completion, 3 are wanted") as error:
        reference_documents.first_documents(split, 3, "probes.here.documents", "folder")
    assert str(error.value).startswith("folder: probes.here.documents: ")
