"""List scheduling on graphs whose shortest time is known."""

import pytest

from implicit_sparsity.planning import schedule
from implicit_sparsity.planning.costs import Job


def graph(**after):
    """{name: names it waits for} -> jobs, and their numbers by name."""
    numbers = {name: i for i, name in enumerate(after)}
    return [Job(numbers[n], n, {}, tuple(numbers[b] for b in before)) for n, before in after.items()], numbers


def span(jobs, numbers, seconds, gpus, held=None):
    seconds = {numbers[name]: s for name, s in seconds.items()}
    held = {number: (held or {}).get(name, 1) for name, number in numbers.items()}
    return schedule.makespan(jobs, seconds, held, gpus)


def test_a_chain_takes_its_sum_on_any_number_of_cards():
    jobs, numbers = graph(a=(), b=("a",), c=("b",))
    for gpus in (1, 2, 8):
        assert span(jobs, numbers, {"a": 1, "b": 2, "c": 3}, gpus) == 6


def test_independent_jobs_share_the_cards():
    jobs, numbers = graph(a=(), b=(), c=(), d=())
    seconds = dict.fromkeys("abcd", 3.0)
    assert [span(jobs, numbers, seconds, n) for n in (1, 2, 3, 4, 8)] == [12, 6, 6, 3, 3]


def test_the_critical_path_goes_first():
    """Two GPUs, two short jobs and a chain of 1 + 9: whoever starts the two shorts first ends at 14."""
    seconds = {"short": 4, "other": 5, "head": 1, "tail": 9}
    jobs, numbers = graph(short=(), other=(), head=(), tail=("head",))
    assert span(jobs, numbers, seconds, 2) == 10


def test_a_diamond():
    jobs, numbers = graph(top=(), left=("top",), right=("top",), end=("left", "right"))
    seconds = {"top": 2, "left": 3, "right": 5, "end": 1}
    assert span(jobs, numbers, seconds, 1) == 11
    assert span(jobs, numbers, seconds, 2) == 8


def test_jobs_without_a_card_wait_for_none():
    jobs, numbers = graph(gpu=(), cpu=(), more=())
    held = {"gpu": 1, "cpu": 0, "more": 0}
    assert span(jobs, numbers, {"gpu": 5, "cpu": 4, "more": 3}, 1, held) == 5


def test_wide_jobs_need_their_cards_at_once():
    jobs, numbers = graph(one=(), two=())
    held = {"one": 1, "two": 2}
    assert span(jobs, numbers, {"one": 3, "two": 4}, 2, held) == 7
    assert span(jobs, numbers, {"one": 3, "two": 4}, 3, held) == 4
    assert span(jobs, numbers, {"one": 3, "two": 4}, 1, held) == float("inf")


def test_never_worse_than_twice_the_bound():
    """Graham: at most sum / N + longest path."""
    import random

    random.seed(0)
    for _ in range(20):
        after = {f"j{i}": [f"j{k}" for k in range(i) if random.random() < 0.1] for i in range(40)}
        jobs, numbers = graph(**after)
        seconds = {name: random.randint(1, 9) for name in after}
        levels = schedule.bottom_levels(jobs, {numbers[n]: s for n, s in seconds.items()})
        for gpus in (1, 3):
            took = span(jobs, numbers, seconds, gpus)
            least = max(sum(seconds.values()) / gpus, max(levels.values()))
            assert least <= took <= sum(seconds.values()) / gpus + max(levels.values())


def test_a_circle_is_refused():
    jobs = [Job(0, "a", {}, (1,)), Job(1, "b", {}, (0,))]
    with pytest.raises(ValueError, match="circle"):
        schedule.bottom_levels(jobs, {0: 1.0, 1: 1.0})
