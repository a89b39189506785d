"""Run and stage of a table's rows, from their ``checkpoint``: method.order.seedN.stageN, or base.

DataFrame in, DataFrame out.
"""

RUN = ["model", "method", "order", "seed"]


def parse(checkpoints):
    """DataFrame of method, order, seed and stage of a column of checkpoints; of base "base", "", 0 and 0.

    ValueError for any other name.
    """
    import pandas as pd

    rows = []
    for name in checkpoints:
        method, order, seed, stage = name.split(".") if name != "base" else (name, "", "0", "0")
        rows.append((method, order, int(seed.removeprefix("seed")), int(stage.removeprefix("stage"))))
    return pd.DataFrame(rows, columns=[*RUN[1:], "stage"], index=checkpoints.index)


def of_runs(frame):
    """The rows with method, order, seed and stage of their checkpoint, whatever a column ``order`` had."""
    known = frame.drop(columns=["method", "order", "seed", "stage"], errors="ignore")
    return known.join(parse(frame["checkpoint"]))


def last_stages(frame):
    """Rows of ``of_runs`` after the last stage of their run; the base model is a run of its own."""
    return frame[frame["stage"] == frame.groupby(RUN)["stage"].transform("max")]
