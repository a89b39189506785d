"""How names look in figures: a colour, a marker and a line style each, the same ones in every figure.

Colours are Okabe & Ito's, and every name also has a marker and a line style of its own: a grey print and a
colour-blind reader tell all of them apart.
"""

# Okabe-Ito without its yellow, which white paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*", "p", "d")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
# Names with a place of their own in every figure; any other name gets the next free styles, in sorted order.
KNOWN = ("lora", "activation_mask", "orthogonal", "replay", "full", "o_lora", "ewc", "osf", "joint", "base")
KNOWN += ("selective_write", "structured_sparsity", "curvature", "expert_mask", "independent")
# An overlap between its floor and its ceiling, in every figure that shows one.
TRIPLE = {
    "ceiling": {"color": "#0072B2", "linestyle": (0, (5, 1.5)), "marker": "^"},
    "signal": {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    "floor": {"color": "#000000", "linestyle": (0, (1, 1)), "marker": None},
}


def styles(names) -> dict[str, dict]:
    """name -> colour, marker and line style: a known name's own in every figure, and unique in this one."""
    unknown = sorted(set(names) - set(KNOWN))
    place = {name: i for i, name in enumerate([*KNOWN, *unknown] if set(names) & set(KNOWN) else unknown)}
    return {
        name: {
            "color": COLOURS[place[name] % len(COLOURS)],
            "marker": MARKERS[place[name] % len(MARKERS)],
            "linestyle": LINES[place[name] % len(LINES)],
        }
        # The second time round the markers are hollow.
        | ({"markerfacecolor": "white"} if place[name] // len(MARKERS) % 2 else {})
        for name in names
    }


def ordered(names) -> list[str]:
    """Names in the order in which figures show them: the known ones first, then the others by name."""
    return sorted(set(names), key=lambda name: (KNOWN.index(name) if name in KNOWN else len(KNOWN), name))
