"""Figures: one each, from long tables to the frame of exactly what is drawn, to a picture."""


def load(name: str, **options):
    """The figure of module ``name`` with these options (its dataclass fields); InputError for a wrong one."""
    from implicit_sparsity.options import load

    return load("figures", name, **options)
