"""Tables in LaTeX with booktabs, each a tabular alone: \\input it inside a table of your own caption.

DataFrames in, text out. Text of the study is escaped; equal frames give equal text. Of several seeds, mean
and standard deviation; of several numbers of documents ($n$) and of groups of them ($G$), the fewest. What is
not known is an en dash.
"""

import math
import textwrap

from .style import ordered

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
HEAD = "% \\usepackage{booktabs}\n"
NONE = "--"
COUNTS = "$n$, $G$"
ACROSS = 5  # methods of a tabular: as many as a page is wide, in \\footnotesize


def escape(text) -> str:
    """Text that LaTeX sets as it stands; what is not ASCII is left to the engine's UTF-8."""
    return "".join(SPECIAL.get(sign, sign) for sign in str(text).replace("\n", " "))


def number(value, digits: int = 3) -> str:
    """A number in math mode (a true minus), or a dash."""
    if value is None or not math.isfinite(value):
        return NONE
    if abs(value) < 1e4:
        return f"${float(f'{value:.{digits}f}') + 0.0:.{digits}f}$"  # no minus before zero
    mantissa, power = f"{value:.2e}".split("e")
    return f"${mantissa} \\times 10^{{{int(power)}}}$"


def spread(values, digits: int = 3) -> str:
    """Mean of runs, and their standard deviation where there are several."""
    known = [float(v) for v in values if math.isfinite(v)]
    if not known:
        return NONE
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return number(mean, digits)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (len(known) - 1))
    return f"${mean + 0.0:.{digits}f} \\pm {deviation:.{digits}f}$"


def tabular(columns: str, head, groups) -> str:
    """A tabular; groups: lists of rows of finished cells, a rule between them."""
    lines = [f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}", "\\toprule"]
    lines += [" & ".join(head) + r" \\", "\\midrule"]
    for i, rows in enumerate(groups):
        lines += ["\\addlinespace"] if i else []
        lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def counts(rows) -> str:
    """The fewest documents, and the fewest groups of them, behind a column of numbers."""
    return f"{rows['n'].min():.0f}, {rows['groups'].min():.0f}"


def none(what: str) -> str:
    return f"% no {what} in this study\n"


def r_matrices(cells) -> str:
    """R matrices of one model and order: a tabular a score and method, rows stages, columns domains."""
    if cells.empty:
        return none("trained stage of this model and order")
    parts = []
    for score, method in _in_order(cells):
        part = cells[(cells["metric"] == score) & (cells["method"] == method)]
        trained = part[part["position"] > 0].drop_duplicates("domain").sort_values("position")["domain"]
        domains = [*trained, *sorted(set(part["domain"]) - set(trained))]
        rows = []
        for stage, here in part.groupby("stage", sort=True):
            name = here["trained_domain"].iloc[0] or "base"
            values = (here.loc[here["domain"] == domain, "value"] for domain in domains)
            rows.append([f"{int(stage)} {escape(name)}", *(spread(v) for v in values)])
        last = [COUNTS, *(counts(part[part["domain"] == domain]) for domain in domains)]
        better = "higher" if part["higher_is_better"].iloc[0] else "lower"
        runs = part["seed"].nunique()
        comment = f"% {score} of {method}, {better} is better, {runs} seed{'s' * (runs != 1)}\n"
        head = ["after stage", *map(escape, domains)]
        parts.append(comment + tabular("l" + "r" * len(domains), head, [rows, [last]]))
    return HEAD + "\n".join(parts)


def _in_order(cells):
    """Scores by name, and of each its methods as figures show them."""
    return [
        (score, method)
        for score in sorted(set(cells["metric"]))
        for method in ordered(cells.loc[cells["metric"] == score, "method"])
    ]


def metrics(frame) -> str:
    """Continual-learning metrics: a tabular a score, model, order and five methods; rows metrics."""
    if frame is None or frame.empty:
        return none("continual-learning metric")
    parts = []
    for (score, model, order), part in frame.groupby(["score", "model", "order"], sort=True):
        known = part[part["value"].notna()]
        names, methods = list(dict.fromkeys(known["metric"])), ordered(known["method"])
        for some in (methods[i : i + ACROSS] for i in range(0, len(methods), ACROSS)):
            rows = [
                [escape(name), *(spread(_values(known, name, method)) for method in some)] for name in names
            ]
            last = [COUNTS, *(counts(known[known["method"] == method]) for method in some)]
            comment = f"% score {score}, model {model}, order {order}\n"
            parts.append(comment + tabular("l" + "r" * len(some), ["", *map(_heading, some)], [rows, [last]]))
    return HEAD + "\n".join(parts) if parts else none("continual-learning metric")


def _values(frame, metric, method):
    return frame.loc[(frame["metric"] == metric) & (frame["method"] == method), "value"]


def _heading(name) -> str:
    """A method's name on lines of its own, to fit above numbers."""
    lines = textwrap.wrap(str(name).replace("_", " "), 14) or [""]
    return r"\shortstack[r]{" + r" \\ ".join(map(escape, lines)) + "}"


def verdicts(judged) -> str:
    """Verdicts with every piece of evidence; MDE: minimum detectable effect, off the threshold; G: groups."""
    if not judged["claims"]:
        return none("claim")
    groups = []
    for name, claim in judged["claims"].items():
        statement = f"\\multicolumn{{7}}{{p{{0.68\\linewidth}}}}{{{escape(claim['statement'])}}}"
        word = f"\\textbf{{{escape(claim['verdict'].lower())}}}"
        groups.append([[f"\\textbf{{{escape(name)}}}", statement, word], *map(_piece, claim["evidence"])])
    head = ["", "effect", r"95\,\% interval", "threshold", "noise", "MDE", "$n$", "$G$", "verdict"]
    return HEAD + tabular(r"p{0.15\linewidth}rlrrrrrl", head, groups)


def _piece(row) -> list:
    names = (row["model"], row["order"], row["subject"], row["what"])
    sides = {"above": "$>$", "below": "$<$"}
    return [
        r"\raggedright " + escape(", ".join(filter(None, names)).replace("_", " ")),
        number(row["effect"]),
        NONE if row["low"] is None else f"{number(row['low'])} to {number(row['high'])}",
        f"{sides[row['side']]} {number(row['threshold'])}",
        number(row["noise"]),
        number(row["detectable"]),
        str(row["n"]),
        NONE if row["groups"] is None else str(row["groups"]),
        escape(row["verdict"].lower()),
    ]
