"""Probes: one measurement each, from the stores of one checkpoint to rows of a long table."""


def load(name: str, **options):
    """The probe of module ``name`` with these options (its dataclass fields); InputError for a wrong one."""
    from implicit_sparsity.options import load

    return load("probes", name, **options)
