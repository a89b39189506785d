"""One look a name in all figures, and no trace of the style behind them."""

from implicit_sparsity.figures import base


def test_styles_are_fixed_for_known_names_and_unique_for_all():
    some = base.styles(["lora", "zeta", "alpha"])
    assert some["lora"] == base.styles(["orthogonal", "lora"])["lora"]
    assert some == base.styles(["alpha", "zeta", "lora"])
    names = [*base.KNOWN, *(f"method_{i}" for i in range(10))]
    looks = base.styles(names)
    for key in ("marker", "markerfacecolor"):
        assert key in looks[names[-1]]
    assert len({(look["marker"], look.get("markerfacecolor")) for look in looks.values()}) == len(names)
    assert base.ordered(["zeta", "orthogonal", "lora"]) == ["lora", "orthogonal", "zeta"]


def test_the_style_leaves_no_trace():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with base.style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before
