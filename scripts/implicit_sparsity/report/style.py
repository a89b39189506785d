"""How names look in figures: a colour, a marker and a line style each, the same ones in every figure.

Colours are Okabe & Ito's, and every name also has a marker and a line style of its own: a grey print and a
colour-blind reader tell all of them apart.
"""

from zlib import crc32

# Okabe-Ito without its yellow, which white paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*", "p", "d")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
# Methods with a fixed place in every figure. One that is not here takes a place that is left, by its name
# (`styles`): a new method needs no entry; if it gets one, then the last, or all others change theirs.
KNOWN = ("lora", "activation_mask", "orthogonal", "replay", "full", "o_lora", "ewc", "osf", "joint", "base")
KNOWN += ("selective_write", "structured_sparsity", "curvature", "expert_mask", "independent")
KNOWN += ("self_distillation", "side_branch")
FILLS = ("none", "left", "right", "top", "bottom")  # of the markers of a method's controls and settings
# An overlap between its floor and its ceiling, in every figure that shows one.
TRIPLE = {
    "ceiling": {"color": "#0072B2", "linestyle": (0, (5, 1.5)), "marker": "^"},
    "signal": {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    "floor": {"color": "#000000", "linestyle": (0, (1, 1)), "marker": None},
}

# Beside it, what two sources give: is it the domain, or the data set?
SOURCES = {
    "sources": {"color": "#CC79A7", "linestyle": (0, (3, 1)), "marker": "D"},
    "sources_apart": {"color": "#56B4E9", "linestyle": (0, (3, 2.5)), "marker": "v"},
}
OF_SOURCES = {"sources": "sources, one domain", "sources_apart": "sources, two domains"}


def family(name: str) -> str:
    """The known method that a control, a swept setting or a variant is named after; else the name itself."""
    parts = name.split("_")
    starts = ("_".join(parts[:i]) for i in range(len(parts), 0, -1))
    return next((start for start in starts if start in KNOWN), name)


def styles(names) -> dict[str, dict]:
    """name -> colour, marker and line style, unique among ``names`` and the same in every figure.

    A control or a setting of a known method has its colour and marker, filled in another way. A method that
    is not known takes one of the places that are left, by a checksum of its name: who else is drawn changes
    it only where two meet. Names of which none is a method (domains) take the places in sorted order.
    """
    methods = any(family(name) in KNOWN for name in names)
    plot_styles, taken = {}, set()
    for name in sorted(set(names), key=lambda name: (name not in KNOWN, name)):
        if not methods:
            choices = [_place(len(plot_styles))]
        elif name in KNOWN:
            choices = [_place(KNOWN.index(name))]
        elif family(name) in KNOWN:
            choices = _variants(name)
        else:
            choices = _free(name)
        look = next((look for look in choices if _seen(look) not in taken), choices[0])
        taken.add(_seen(look))
        plot_styles[name] = look
    return {name: plot_styles[name] for name in names}


def _place(i: int) -> dict:
    look = {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": LINES[i % len(LINES)],
    }
    # The second time round the markers are hollow.
    return look | ({"markerfacecolor": "white"} if i // len(MARKERS) % 2 else {})


def _variants(name: str) -> list[dict]:
    """The plot styles that a control or setting of a known method may take, its own first."""
    own = family(name)
    base, start = _place(KNOWN.index(own)), crc32(name.removeprefix(own).encode())
    line = LINES.index(base["linestyle"])
    turns = [(start + i) % (len(FILLS) * len(LINES)) for i in range(len(FILLS) * len(LINES))]
    return [
        base
        | {"fillstyle": FILLS[t % len(FILLS)], "linestyle": LINES[(line + 1 + t // len(FILLS)) % len(LINES)]}
        for t in turns
    ]


def _free(name: str) -> list[dict]:
    """The places that no known method has, the name's own first; then the same in other colours."""
    around = 2 * len(MARKERS)
    left, start = around - len(KNOWN), crc32(name.encode())
    return [
        _place(len(KNOWN) + (start + i) % left + around * turn)
        for turn in range(len(COLOURS))
        for i in range(left)
    ]


def _seen(look: dict) -> tuple:
    """What tells two plot styles apart in print."""
    keys = ("color", "marker", "markerfacecolor", "fillstyle")
    return tuple(look.get(key) for key in keys) + ((look["linestyle"],) if "fillstyle" in look else ())


def ordered(names) -> list[str]:
    """Names in the order in which figures show them: known methods, each before its controls and settings,
    then the others by name."""
    place = {name: i for i, name in enumerate(KNOWN)}
    return sorted(set(names), key=lambda n: (place.get(family(n), len(KNOWN)), n not in KNOWN, n))
