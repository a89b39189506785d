"""A bar for who watches a long job. Apart from ``job``, because tables and figures are made without tqdm."""

import sys

from tqdm import tqdm


def progress(what: str):
    """A tqdm over an iterable on a terminal, the iterable itself elsewhere."""
    if not sys.stderr.isatty():
        return iter
    return lambda items: tqdm(items, desc=what, leave=False)
