"""Drawing by seed: a smaller draw is the beginning of a larger one, whatever the order of the records."""

from corpora_samples import record

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within

RECORDS = [record(number) for number in range(50)]


def test_a_smaller_draw_begins_a_larger_one_and_order_is_nothing():
    whole = list(sample(RECORDS, None, 3))
    assert sorted(r["id"] for r in whole) == sorted(r["id"] for r in RECORDS) and whole != RECORDS
    assert list(sample(RECORDS[::-1], 7, 3)) == whole[:7]
    assert list(sample(RECORDS, 7, 4)) != whole[:7], "another seed draws others"


def test_what_was_left_out_is_counted_beside_the_limit():
    items = list(sample([RECORDS[0], Dropped("bad"), *RECORDS[1:]], 2, 0))
    assert items[0] == Dropped("bad") and len(items) == 3
    short, long = RECORDS[0], RECORDS[1] | {"completion": "x" * 500}
    assert list(within([short, long], 400)) == [short, Dropped("over max_chars")]
    assert list(within([long], None)) == [long]
