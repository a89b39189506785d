"""One look a name in all figures."""

import pytest

from implicit_sparsity.report.style import COLOURS, KNOWN, MARKERS, family, ordered, styles
from implicit_sparsity.workflow import source


def test_styles_are_fixed_for_known_names_and_unique_for_all():
    some = styles(["lora", "zeta", "alpha"])
    assert some["lora"] == styles(["orthogonal", "lora"])["lora"]
    assert some == styles(["alpha", "zeta", "lora"])
    left = 2 * len(MARKERS) - len(KNOWN)  # filled and hollow; beyond these only colours differ
    names = [*KNOWN, *(f"method_{i}" for i in range(left))]
    plot_styles = styles(names)
    for key in ("marker", "markerfacecolor"):
        assert key in plot_styles[names[-1]]
    assert len({(look["marker"], look.get("markerfacecolor")) for look in plot_styles.values()}) == len(names)
    assert ordered(["zeta", "orthogonal", "lora"]) == ["lora", "orthogonal", "zeta"]


def test_a_method_looks_the_same_whoever_else_is_drawn():
    """Every method, a control, settings of a sweep, and a method of one's own beside few and beside many."""
    methods = source.available("methods")
    assert len({str(look) for look in styles(methods).values()}) == len(methods)
    own = ["lora_learning_rate_0p0003", "activation_mask_random", "my_own_method"]
    few, many = styles(["lora", *own]), styles([*KNOWN, *own, "lora_slow", "zeta"])
    assert all(few[name] == many[name] for name in few)
    for name, of in (("lora_learning_rate_0p0003", "lora"), ("activation_mask_random", "activation_mask")):
        assert all(many[name][key] == many[of][key] for key in ("color", "marker"))
        assert many[name] != many[of]
    variants = [f"lora_learning_rate_0p{i}" for i in range(12)]
    plot_styles = styles(["lora", *variants])
    assert len({(look.get("fillstyle"), look["linestyle"]) for look in plot_styles.values()}) == 13
    assert ordered(["orthogonal", "lora_slow", "zeta", "lora"]) == [
        "lora",
        "lora_slow",
        "orthogonal",
        "zeta",
    ]


def test_names_without_a_method_take_their_places_in_sorted_order():
    plot_styles = styles(["math", "code", "general"])
    assert list(plot_styles) == ["math", "code", "general"], "in the order they were given"
    places = [(plot_styles[name]["color"], plot_styles[name]["marker"]) for name in sorted(plot_styles)]
    assert places == list(zip(COLOURS, MARKERS))[:3]
    assert styles([]) == {} and styles(["math", "math"]) == {"math": styles(["math"])["math"]}


def test_more_domains_than_markers_are_hollow_the_second_time():
    names = [f"domain_{i:02}" for i in range(len(MARKERS) + 1)]
    plot_styles = styles(names)
    first, again = plot_styles[names[0]], plot_styles[names[-1]]
    assert again["marker"] == first["marker"] and again["markerfacecolor"] == "white"
    assert "markerfacecolor" not in plot_styles[names[-2]]


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("lora", "lora"),
        ("lora_slow", "lora"),
        ("o_lora_rank_4", "o_lora"),
        ("activation_mask_random", "activation_mask"),
        ("activation_masks", "activation_masks"),  # a longer word is another name
        ("my_lora", "my_lora"),
        ("loran", "loran"),
    ],
)
def test_a_variant_begins_with_the_whole_name_of_its_method(name, of):
    assert family(name) == of


def look_of(look):
    return look["color"], look["marker"], look.get("markerfacecolor")


def test_unknown_names_fill_every_place_that_is_left_before_two_look_alike():
    """Those of filled and hollow markers that no known method has, in every colour."""
    left = (2 * len(MARKERS) - len(KNOWN)) * len(COLOURS)
    plot_styles = styles(["lora", *(f"method_{i}" for i in range(left))])
    shown = {look_of(look) for look in plot_styles.values()}
    assert len(shown) == left + 1
    assert not shown & {look_of(look) for look in styles(KNOWN[1:]).values()}
