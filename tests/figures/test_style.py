"""One look a name in all figures, and no trace of the style behind them."""

from implicit_sparsity.figures import base
from implicit_sparsity.report.style import KNOWN, MARKERS, ordered, styles
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


def test_the_style_leaves_no_trace():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with base.style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before
