"""Which rows of a table compare domains, and which compare sources: tables of overlap and of gradients.

Rows of sources name them in ``source_a`` and ``source_b``; in rows of whole domains both are empty. DataFrame
in, DataFrame out.
"""

import numpy as np

from . import verdict


def of_domains(table):
    """Rows of whole domains; all where the table knows no sources."""
    return table[table["source_a"] == ""] if "source_a" in table else table


def of_sources(table, one_domain: bool):
    """Rows of two sources, of one domain or of two; none where the table knows no sources."""
    if "source_a" not in table:
        return table.iloc[:0]
    same = table["domain_a"] == table["domain_b"]
    return table[(table["source_a"] != "") & (same == one_domain)]


def lines(table, quantity: str):
    """Rows of whole domains, and those of pairs of sources that have this quantity, which is then "sources"
    (of one domain) or "sources_apart" (of two); ``tokens`` are the fewest of any pair's."""
    import pandas as pd

    known = table[table["quantity"] == quantity]
    both = [of_sources(known, True).assign(quantity="sources")]
    both.append(of_sources(known, False).assign(quantity="sources_apart"))
    of_pairs = pd.concat(both)
    if of_pairs.empty:
        return of_domains(table)
    if "tokens" in table:
        of_pairs["tokens"] = of_pairs.groupby("model")["tokens"].transform("min")
    return pd.concat([of_domains(table), of_pairs])


def in_words(table, quantity: str) -> str:
    """Mean of a quantity between sources of each domain and of two, as a detail of what domains give; ""
    where no domain has two sources with a value."""
    known = table[(table["quantity"] == quantity) & np.isfinite(table["value"])]
    own, other = (of_sources(known, one_domain) for one_domain in (True, False))
    if own.empty:
        return ""
    each = own.groupby("domain_a", sort=False)["value"].mean()
    mean, low, high = verdict.together(*(own[name] for name in ("value", "low", "high")))
    reach = f" ({low:.2f} to {high:.2f})" if own[["low", "high"]].notna().all(axis=None) else ""
    apart = f"; of two {other['value'].mean():.2f}" if len(other) else ""
    named = ", ".join(f"{domain} {value:.2f}" for domain, value in each.items())
    return f"; between sources of one domain {mean:.2f}{reach}: {named}{apart} ({own['groups'].min()} groups)"
