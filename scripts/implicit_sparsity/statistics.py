"""Means and intervals over repeated runs."""


def mean_range(frame, by, value="value", over="seed"):
    """Mean, lowest and highest ``value`` over the runs of each group.

    frame: long DataFrame; by: columns that name a group; over: column that tells runs apart. Returns a
    DataFrame with ``by``, ``mean``, ``low``, ``high`` and ``n`` (runs that have a value). One run gives low
    = mean = high: no interval is invented. Groups keep their first-seen order. Rows without a value do not
    count.
    """
    import pandas as pd

    grouped = frame.dropna(subset=[value]).groupby(list(by), sort=False)
    runs = grouped[over].nunique() if over in frame.columns else grouped[value].size()
    columns = grouped[value].agg(mean="mean", low="min", high="max")
    return pd.concat([columns, runs.rename("n")], axis=1).reset_index()
