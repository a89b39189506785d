"""docs/metrics.md, rendered from what the code itself says of its metrics.

``PYTHONPATH=scripts python -m implicit_sparsity.metrics.metric_docs > docs/metrics.md``; a test says when it
is due.
"""

from . import comparison_columns, continual

WAYS = {"score": "as the score", "higher": "higher", "lower": "lower"}
HEAD = """# Metrics

Rendered by `PYTHONPATH=scripts python -m implicit_sparsity.metrics.metric_docs`: not to be edited by hand.

`R[k,j]` is the score on domain j after stage k, stages and domains in the order trained, 1 to T; row 0 is the
base model; s is +1 where a higher score is better and -1 for losses. So a positive bwt, fwt or gain is always
an improvement and a positive forgetting or intransigence always harm. What needs a cell that was not measured
is empty. A method that learned nothing forgets nothing: read forgetting beside `learned_gain`, or better at
equal learning, below.
"""
COVARIATES = """
## Covariates

K[k,j] is KL(base || tuned) in nats per token on the evaluation documents of domain j after stage k, of the
content (the score `kl_content`) or of the whole completion (`kl_completion`): exact over the vocabulary, mean
over documents, 0 of the base model. Covariates of both are rows of `metrics.csv`, and `kl_newest` of
`kl_content` is a column beside every other metric.
"""
COMPARED = """
## Methods at equal learning

`comparisons.csv`: a row for a family (a method over its sweep and seeds) and what it is compared with, of
each model, order and score. Its front runs straight from point to point of `fronts.csv`, in the order of
learned gains; forgetting is read off it at one learned gain for all, never beyond its ends.

* The unit is the group of documents (a module, template, conversation): `groups` is its number in the domain
  that has fewest. Intervals: value +- sqrt(t_D^2 V_D + t_S^2 V_S), each variance with its own Student's t.
  V_D is over draws of whole groups (a cluster bootstrap within domains, the same draws for all methods),
  scaled by what it falls short of the jackknife over groups; V_S over seeds (one left out at a time). Of
  planted documents with an intraclass correlation of 0.9 in 10 and 24 unequal groups they cover 91 to 98 %,
  intervals over documents 40 to 80 %. Below 10 groups they are there, but `trusted` is False, and no claim is
  decided. With one seed they speak of groups alone. Where seeds scatter a point's gain by half the distance
  to the next point, they cover about 88 %, not 95: widen the sweep or add seeds.
* p-values, TOST and `detectable` are of means over documents with the standard error of the jackknife that
  leaves out a group, and Bell & McCaffrey's degrees of freedom (`metrics/clusters.py`, with its coverage),
  runs averaged before. They speak of other groups, not of other seeds: a difference within the
  noise floor is none, whatever its p.
* Forgetting takes the best of several noisy stages, so with more than two domains it is biased upwards where
  there is none, for all methods alike; TOST then finds "no forgetting" less often than it could.
* A family without a front (one learning rate) has no forgetting at equal learning: cells are empty, and
  `note` says why.
"""


def table(head, rows) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines)


def docs(metrics) -> str:
    rows = [[f"`{name}`", f"`{c.formula}`", WAYS[c.better], c.source, c.used] for name, c in metrics.items()]
    return table(["metric", "formula", "better", "source", "used by"], rows)


def columns(texts) -> str:
    return table(["column", "what it is"], [[f"`{name}`", text] for name, text in texts.items()])


def render() -> str:
    """The whole page."""
    parts = [HEAD, docs(continual.METRIC_DOCS), COVARIATES, docs(continual.COVARIATES), COMPARED]
    parts += [columns(comparison_columns.COMPARED), "\n`fronts.csv`: a row a point of a front.\n"]
    return "\n".join([*parts, columns(comparison_columns.POINTS)]) + "\n"


if __name__ == "__main__":
    print(render(), end="")
