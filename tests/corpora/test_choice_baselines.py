"""Choice sets that are solved, or not, without understanding them."""

import random

import pytest

from implicit_sparsity.corpora.choice_baselines import baselines, picks, shared_words


def test_shared_words_are_distinct_whatever_their_case_and_signs():
    assert shared_words("Ann has 12 apples, Ann eats 3.", "ann ANN: 12-3 pears") == 3
    assert shared_words("", "ann") == shared_words("ann", "...") == 0


PROMPT = "A cat sat on the mat."


@pytest.mark.parametrize(
    ("choices", "correct", "overlap", "longest"),
    [
        (["the cat sat", "a dog"], 0, 1.0, 1.0),
        (["the cat sat", "a very long-winded dog"], 1, 0.0, 1.0),
        (["cat", "mat", "no"], 1, 1 / 2, 1 / 2),
        (["x", "y", "z", "u"], 3, 1 / 4, 1 / 4),  # nothing to go by: chance
        (["cat cat cat", "a cat"], 0, 0.0, 1.0),  # a word twice is one word
    ],
)
def test_baselines_of_a_document(choices, correct, overlap, longest):
    assert baselines(PROMPT, choices, correct) == {
        "chance": 1 / len(choices),
        "overlap": overlap,
        "longest": longest,
    }


def test_ties_count_what_drawing_among_them_gets():
    """Mean of the expected accuracies = frequency of a rule that really draws."""
    draw, expected, hits, n = random.Random(0), 0.0, 0, 20_000
    for _ in range(n):
        values = [draw.randint(0, 2) for _ in range(4)]
        best = [i for i, value in enumerate(values) if value == max(values)]
        hits += draw.choice(best) == 2
        expected += picks(values, 2)
    assert abs(hits - expected) < 5 * (n / 4) ** 0.5
