"""How often a choice set is solved without understanding it: by chance, words shared with the prompt, length.

A score of a model says something above the best of these only. Ties count by halves, thirds and so on: what a
rule would get on average if it drew among the choices it likes equally.
"""

from functools import lru_cache

from .sameness import words


def shared_words(prompt: str, choice: str) -> int:
    """How many distinct words of the choice the prompt has, too (characters, in scripts without blanks)."""
    return len(_distinct(prompt) & _distinct(choice))


@lru_cache(maxsize=4096)  # each choice of a source is compared with many prompts
def _distinct(text: str) -> frozenset[str]:
    return frozenset(words(text))


def baselines(prompt: str, choices: list[str], correct: int) -> dict[str, float]:
    """Expected accuracy (0 to 1) on one document of drawing at random (``chance``), of the choice with most
    words in common with the prompt (``overlap``), and of the one with most characters (``longest``)."""
    return {
        "chance": 1 / len(choices),
        "overlap": picks([shared_words(prompt, choice) for choice in choices], correct),
        "longest": picks([len(choice) for choice in choices], correct),
    }


def picks(values: list, correct: int) -> float:
    """The chance that who draws among the largest ``values`` draws the one at ``correct``."""
    best = max(values)
    return 1 / values.count(best) if values[correct] == best else 0.0
