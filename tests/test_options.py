"""Options of a class: bounds, choices and lists are checked, and a name or key that is not there is told."""

from dataclasses import dataclass

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import Options, load, option


@dataclass
class Given(Options):
    share: float = option(0.5, low=0, high=1)
    k: tuple = option((0.1,), low=0)
    form: str = option("hard", choices=("hard", "soft"))


def test_one_item_is_a_list_of_one_and_bounds_hold_for_each():
    assert Given(k=3).k == (3,) and Given(k=[1, 2]).k == (1, 2) and Given(share=1).share == 1
    for wrong, line in (
        ({"share": 1.01}, "share: found 1.01, allowed: number >= 0 and <= 1"),
        ({"share": True}, "share: found True, allowed: number >= 0 and <= 1"),
        ({"k": [1, -1]}, "k: found (1, -1), allowed: list of numbers >= 0"),
        ({"k": []}, "k: found (), allowed: list of numbers >= 0 with at least one entry"),
        ({"form": "loose"}, "form: found 'loose', allowed: hard | soft"),
    ):
        with pytest.raises(InputError) as caught:
            Given(**wrong)
        assert str(caught.value) == line


def test_a_name_without_a_module_and_an_option_without_a_field_are_one_line():
    with pytest.raises(InputError, match=r"methods/none: there is no implicit_sparsity/methods/none\.py"):
        load("methods", "none")
    with pytest.raises(InputError, match=r"methods/lora: no option ranks; options: .*rank"):
        load("methods", "lora", ranks=3)
