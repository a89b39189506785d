"""What every claim shares: the tables it reads, its threshold, and what it asks of a study.

A claim is a dataclass whose fields are its options in the config. ``look`` puts evidence into a
``verdict.Finding``, or says what is missing. Claims read tables alone.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from implicit_sparsity.metrics import checkpoints, pairs, verdict
from implicit_sparsity.metrics.verdict import Evidence, Finding
from implicit_sparsity.options import Options, option

SCRATCH = "scratch-"  # how the revision of a model begins that was trained here, from nothing


class Study(NamedTuple):
    """What the tables do not say: method -> {family, role, of, point}, and order -> domains."""

    families: dict
    orders: dict


@dataclass
class Claim(Options):
    """A claim. QUESTION, STATEMENT and REFUTED: in words; TABLES: what it reads, OPTIONAL: where the study
    makes it; FIGURE: shows it; EFFECT and NOISE: what these numbers are; MEAN: how layers, pairs and seeds
    are averaged; SIDE of the threshold on which the claim says the effect lies."""

    QUESTION: ClassVar[str] = ""
    STATEMENT: ClassVar[str] = ""
    REFUTED: ClassVar[str] = ""
    TABLES: ClassVar[tuple] = ()
    OPTIONAL: ClassVar[tuple] = ()
    FIGURE: ClassVar[str] = ""
    EFFECT: ClassVar[str] = ""
    NOISE: ClassVar[str] = ""
    MEAN: ClassVar[str] = ""
    SIDE: ClassVar[str] = "above"

    models: tuple[str, ...] | None = option(
        None, of="models", help="models that it is judged on; all that were measured"
    )

    def judge(self, tables: dict, study: Study) -> Finding:
        """Evidence of the tables (name -> DataFrame; one that is not made is not there)."""
        finding = Finding()
        for name in self.TABLES:
            if name not in tables:
                finding.miss(f"the table {name}")
            elif tables[name].empty:
                finding.miss(f"rows of the table {name}")
        if not finding.missing:
            chosen = {name: self._chosen(frame) for name, frame in tables.items()}
            self.look(finding, chosen, study)
        if not finding.evidence and not finding.missing:
            of = f" in {', '.join(self.models)}" if self.models else ""
            finding.miss("; ".join(finding.skipped) or f"rows of what it speaks of{of}")
        return finding

    def look(self, finding: Finding, tables: dict, study: Study) -> None:
        raise NotImplementedError

    def _chosen(self, frame):
        if not self.models or "model" not in frame:
            return frame
        return frame[frame["model"].isin(self.models)]

    def piece(self, model: str, three, noise: float, n: int, groups=None, **more) -> Evidence:
        """Evidence of (effect, low, high), of n documents in so many groups (None: over no documents)."""
        metadata = {"threshold": float(self.threshold), "side": self.SIDE, "n": int(n)} | more
        metadata["groups"] = None if groups is None else int(groups)
        return Evidence(model, *map(float, three), noise=float(noise), **metadata)


@dataclass
class OfMethods(Claim):
    """A claim about methods: it asks for seeds, and for orders, as a last domain may flatter a method."""

    seeds: int = option(3, low=1, help="seeds that it takes; an interval over seeds takes 2")
    orders: int = option(2, low=1, help="orders that it takes")

    def ask(self, finding: Finding, seeds, orders, who: str) -> None:
        """What is missing of ``seeds`` (the fewest of any run) and ``orders`` (a collection)."""
        if seeds < self.seeds:
            finding.miss(f"{self.seeds} seeds of {who}, there is {seeds}")
        if len(set(orders)) < self.orders:
            finding.miss(f"{self.orders} orders of {who}, there is {len(set(orders))}")


@dataclass
class ForgetsLess(OfMethods):
    """A method against LoRA and against its own control; effect: forgetting of the other less its own, read
    off both fronts at one learned gain (``comparisons``)."""

    TABLES = ("comparisons",)
    OPTIONAL = ("metrics",)  # published numbers beside it
    FIGURE = "method_comparison"
    EFFECT = "how much less is forgotten at equal learning"
    NOISE = "SD of forgetting over seeds of equal settings, of the two methods the larger one"
    MEAN = "seeds and groups of documents as in comparisons.csv; both comparisons have to hold"

    threshold: float = option(..., low=0, high=1000, help="by how much less, in units of the score")
    method: str = option("", of="methods", besides=("",), help="the entry of methods that is judged")
    against: str = option("lora", of="methods", help="what it is compared with: comparisons.reference")
    control: str = option("random", of="controls", help="which of its controls it has to beat, too")
    score: str = option("loss_content", of="compared scores", help="score of comparisons.margins")

    def look(self, finding, tables, study):
        table = tables["comparisons"]
        table = table[table["score"] == self.score]
        if table.empty:
            finding.miss(f"comparisons of the score {self.score} (comparisons.margins)")
        for model, here in table.groupby("model", sort=False):
            mine = here[here["family"] == self.method]
            if mine.empty:
                finding.skip(f"{model} is not trained with {self.method}")
                continue
            for order, part in here.groupby("order", sort=False):
                self._unit(finding, part, model, order)
            self.ask(finding, int(mine["seeds"].min()), mine["order"], f"{self.method} on {model}")

    def _unit(self, finding, part, model, order):
        control = f"{self.method}_{self.control}"
        pieces = []
        for family, against in ((self.method, self.against), (control, self.method)):
            rows = part[(part["family"] == family) & (part["against"] == against)]
            if rows.empty:
                key = "controls: true" if family == control else "comparisons.reference"
                finding.miss(f"the comparison of {family} with {against} ({key})")
                return
            row = rows.iloc[0]
            if not np.isfinite(row["difference"]):
                finding.skip(f"{family} against {against} on {model}, order {order}: {row['note']}")
                return
            noise = part.loc[part["family"].isin([family, against]), "noise_sd"].max(skipna=False)
            three = [row[name] for name in ("difference", "difference_low", "difference_high")]
            if family == self.method:  # the table has what it forgets more
                three = [-three[0], -three[2], -three[1]]
            detail = f"at a learned gain of {row['learned_gain']:.3g}; p after Holm {row['p_holm']:.2g}"
            others = part[part["family"] == against]
            detail += "" if others.empty else beside(row, others.iloc[0])
            metadata = {
                "n": row["n"],
                "groups": row["groups"],
                "seeds": int(row["seeds"]),
                "unit": row["unit"],
                "order": order,
            }
            metadata |= {
                "subject": self.method,
                "what": f"against {against if family != control else control}",
            }
            pieces.append(self.piece(model, three, noise, **metadata, detail=detail))
        finding.evidence.extend(pieces)


MOVED = {"kl_newest": "KL to base", "update_norm": "||dW||"}  # who forgets less may have changed less


def beside(row, other) -> str:
    """How far both have moved from the base at that gain, in words."""
    both = {words: (row[column], other[column]) for column, words in MOVED.items()}
    known = {words: pair for words, pair in both.items() if np.isfinite(pair).all()}
    return "".join(f"; {words} {mine:.3g} against {theirs:.3g}" for words, (mine, theirs) in known.items())


def last_stages(frame):
    """Rows of trained checkpoints after the last stage of their run, with method, order, seed and stage."""
    return checkpoints.last_stages(checkpoints.of_runs(frame[frame["checkpoint"] != "base"]))


def of_family(frame, families: dict, family: str):
    """Rows of a family: a method over its sweep."""
    members = {family, *(name for name, metadata in families.items() if metadata["family"] == family)}
    return frame[frame["method"].isin(members)]


def by_seed(frame, value, low, high):
    """Arrays over seeds of (value, low, high), a family's settings averaged (``verdict.together``)."""
    triples = [verdict.together(part[value], part[low], part[high]) for _, part in frame.groupby("seed")]
    return tuple(np.array(x) for x in zip(*triples))


def own_documents(frame) -> int:
    """Documents of all domains, from the rows of a domain with itself."""
    own = frame[frame["domain_a"] == frame["domain_b"]]
    return int(own.groupby("domain_a")["n"].max().sum())


def separations(claim: Claim, finding: Finding, part, model: str, what: str = "") -> None:
    """Evidence of SEP, mean over layers and pairs of domains, with its null as the noise floor; what sources
    of one domain give stands beside it."""
    sources, part = pairs.in_words(part, "sep"), pairs.of_domains(part)
    apart = part[part["domain_a"] != part["domain_b"]]
    sep, null = (apart[apart["quantity"] == name] for name in ("sep", "sep_permuted"))
    known = sep[np.isfinite(sep["value"])]
    if known.empty:
        finding.skip(f"{model}: SEP is not defined in any layer")
        return
    three = verdict.together(known["value"], known["low"], known["high"])
    noise = null["high"].mean() if len(null) else np.nan
    lost = len(sep) - len(known)
    detail = f"{known['layer'].nunique()} layers, {len(known.groupby(['domain_a', 'domain_b']))} pairs"
    detail += f", {lost} without a SEP left out" if lost else ""
    each = known.groupby(["domain_a", "domain_b"])["value"].mean()
    detail += f"; pairs {each.min():.2f} to {each.max():.2f}{sources}"
    metadata = {"n": own_documents(part), "groups": part["groups"].min(), "what": what}
    finding.evidence.append(claim.piece(model, three, noise, **metadata, detail=detail + origin(part)))


def origin(part) -> str:
    """What to bear in mind of a model that was trained here."""
    small = "revision" in part and part["revision"].str.startswith(SCRATCH).any()
    return "; trained from scratch here, says nothing of a pretrained model" if small else ""
