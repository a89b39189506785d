"""Long CSV tables, written and read in one way: text stays text, numbers round-trip, files appear whole."""

from implicit_sparsity.errors import InputError

from .files import new_file

# Columns of names: an empty cell is "" (no order, no stage trained), never NaN, and "1" stays text.
TEXT = (
    "model",
    "revision",
    "method",
    "order",
    "checkpoint",
    "domain",
    "domain_a",
    "domain_b",
    "source_a",
    "source_b",
    "trained_domain",
    "half",
)
TEXT += (
    "control",
    "unit",
    "metric",
    "measure",
    "quantity",
    "score",
    "scope",
    "formula",
    "write",
    "set",
    "role",
    "interval",
    "family",
    "of",
    "against",
    "point",
    "note",
)


def write_table(path, frame) -> None:
    """Write a DataFrame as CSV at ``path`` (temporary name, then rename); floats in full precision."""
    with new_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_table(path, needs=(), empty=False):
    """The CSV at ``path`` as a DataFrame; InputError: no table, a column of ``needs`` missing, no rows.

    empty: no rows will do; what is no text is then a column of numbers.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(
            path, dtype=dict.fromkeys(TEXT, str), keep_default_na=False, na_values=["", "nan"], na_filter=True
        )
    except FileNotFoundError:
        raise InputError("no such table", path=path) from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"not a CSV table ({error})", path=path) from error
    missing = [name for name in needs if name not in frame.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", path=path)
    if frame.empty and not empty:
        raise InputError("the table has no rows", path=path)
    text = [name for name in TEXT if name in frame.columns]
    frame[text] = frame[text].fillna("")
    return frame if len(frame) else frame.astype({n: float for n in frame.columns if n not in text})
