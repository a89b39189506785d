"""Where a method must be expected to hold less of old inputs than it is asked for, before it runs."""

from implicit_sparsity.workflow import source


def lines(study, model: str) -> list[str]:
    """A line for methods whose cap of directions is below what the energy asked for has been seen to need.

    A method's class says so in ``CAP``: (option, share of an input's width that was needed). Fewer sampled
    tokens than the width can show no more directions than there are tokens, and none of all others.
    """
    methods: dict = {}
    for (owner, name), trained in study.methods.items():
        entry = study.config["methods"].get(name, {})
        module = source.module_name("methods", source.method_module(name, entry))
        cap = source.class_literal(module, "CAP", default=None)
        if owner != model or not cap:
            continue
        known = source.with_defaults(module, entry)
        widths = sorted({weight.inputs for weight, _ in trained.read})
        short = [width for width in widths if known[cap[0]] < cap[1] * width]
        few = [width for width in widths if known["sample_tokens"] < width]
        methods.setdefault(_line(known, cap[0], short, few), []).append(name)
    return [f"{', '.join(names)}: {line}" for line, names in methods.items() if line]


def _line(known: dict, cap: str, short: list, few: list) -> str:
    parts = []
    if short and known["energy"] and not known.get("fixed_rank"):
        parts.append(
            f"{cap} {known[cap]} must be expected to bind in inputs {_text(short)} wide, before energy "
            f"{known['energy']:g} is held"
        )
    if few:
        parts.append(
            f"sample_tokens {known['sample_tokens']} is below the width of inputs {_text(few)} wide: "
            "held-out inputs have directions that no sample shows"
        )
    return "; ".join(parts)


def _text(widths) -> str:
    return ", ".join(f"{width:,}" for width in widths)
