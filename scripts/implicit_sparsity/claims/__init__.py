"""Claims: one module a claim, from tables to evidence for or against it."""


def load(name: str, **options):
    """The claim of module ``name`` with these options (its dataclass fields); InputError for a wrong one."""
    from implicit_sparsity.options import load

    return load("claims", name, **options)
