"""Continual-learning methods, one file each. A method's name in the config is its module's name: there is no
registry."""


def load(name: str, **options):
    """The method of ``methods/<name>.py`` with these options; ``uses`` in a config entry is resolved
    before."""
    from implicit_sparsity.options import load as load_options

    return load_options("methods", name, **options)
