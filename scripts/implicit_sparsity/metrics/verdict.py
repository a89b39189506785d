"""What counts as an answer: intervals and noise floors in, one of four words out. Floats in, floats out.

A piece of evidence has an effect with a 95 % interval, the claim's threshold and the side of it on which the
claim says the effect lies, and a noise floor: how far from ``neutral`` the effect comes out where there is
nothing (or, with ``neutral`` at the threshold, how finely it is measured). It

    SUPPORTS      if the whole interval is on the claim's side and |effect - neutral| > noise floor
    refutes       (NOT SUPPORTED) if the whole interval is on the other side, the threshold included
    is INCONCLUSIVE otherwise: the interval holds the threshold, is not known, or the effect is noise; and
                    whatever it is where fewer than 10 groups of documents make it (``clusters``)

A unit (one model; of methods, one model, order and method) may have several pieces, all of which the claim
needs: SUPPORTED if all support it, NOT SUPPORTED if one refutes it. A claim is SUPPORTED or NOT SUPPORTED if
every unit is, and INCONCLUSIVE where units disagree: no pooling hides a model that behaves otherwise. NOT
RUN: what the claim asks for (a table, a control, seeds, orders) is not there, whatever the numbers that are.
"""

import math
from dataclasses import asdict, dataclass, field

import numpy as np

from .clusters import FEWEST_GROUPS

SUPPORTED, REFUTED, OPEN, NOT_RUN = "SUPPORTED", "NOT SUPPORTED", "INCONCLUSIVE", "NOT RUN"
Z, POWER = 1.959963984540054, 0.8416212335729143  # 97.5 % and 80 % of a normal


@dataclass
class Evidence:
    """One number that a claim is judged by. side: ``above`` or ``below`` the threshold, as the claim says."""

    model: str
    effect: float
    low: float
    high: float
    threshold: float
    side: str
    noise: float
    neutral: float = 0.0
    n: int = 0
    groups: int | None = None  # independent groups of its documents; None: the interval is over no documents
    order: str = ""
    subject: str = ""  # of a claim about methods: which
    what: str = ""  # which effect, where a claim needs several
    seeds: int = 0  # 0: no seed is involved
    unit: str = "1"
    detail: str = ""

    @property
    def verdict(self) -> str:
        return self.judged()[0]

    def judged(self) -> tuple[str, str]:
        """(word, why)."""
        if not all(map(math.isfinite, (self.effect, self.low, self.high))):
            return OPEN, "no interval"
        if self.groups is not None and self.groups < FEWEST_GROUPS:
            return OPEN, f"fewer than {FEWEST_GROUPS} groups of documents: the interval is not to be trusted"
        above = self.side == "above"
        inside = self.low > self.threshold if above else self.high < self.threshold
        outside = self.high <= self.threshold if above else self.low >= self.threshold
        if outside:
            return REFUTED, "the whole interval is on the other side of the threshold"
        if not inside:
            return OPEN, "the interval holds the threshold"
        if not math.isfinite(self.noise):
            return OPEN, "beyond the threshold, but the noise floor is not known"
        if abs(self.effect - self.neutral) <= self.noise:
            return OPEN, "beyond the threshold, but within the noise floor"
        return SUPPORTED, "the whole interval is on the claim's side of the threshold, beyond the noise floor"

    @property
    def detectable(self) -> float:
        """Distance from the threshold at which an interval so wide lies beyond it in 80 % of studies."""
        return (self.high - self.low) / 2 * (1 + POWER / Z)

    def row(self) -> dict:
        """As JSON: numbers that are not known are None."""
        word, why = self.judged()
        row = asdict(self) | {"detectable": self.detectable, "verdict": word, "why": why}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


@dataclass
class Finding:
    """What a claim found: evidence, what is missing for a verdict, and units that were passed over."""

    evidence: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    skipped: list = field(default_factory=list)

    def miss(self, what: str) -> None:
        if what not in self.missing:
            self.missing.append(what)

    def skip(self, what: str) -> None:
        if what not in self.skipped:
            self.skipped.append(what)


def of_unit(pieces) -> str:
    """Of pieces of evidence that a claim needs all."""
    words = {piece.verdict for piece in pieces}
    return REFUTED if REFUTED in words else SUPPORTED if words == {SUPPORTED} else OPEN


def conclude(finding: Finding) -> tuple[str, str]:
    """(word, why) of a claim."""
    units = {}
    for piece in finding.evidence:
        units.setdefault((piece.model, piece.order, piece.subject), []).append(piece)
    words = {unit: of_unit(pieces) for unit, pieces in units.items()}
    if finding.missing or not words:
        return NOT_RUN, "; ".join(finding.missing) or "nothing was measured that the claim speaks of"
    if len(set(words.values())) == 1:
        word = next(iter(words.values()))
        deciding = [piece for piece in finding.evidence if piece.verdict == word]
        reasons = dict.fromkeys(": ".join(filter(None, (p.what, p.judged()[1]))) for p in deciding)
        return word, "; ".join(reasons) + (f" (all {len(words)} units)" if len(words) > 1 else "")
    counted = {word: list(words.values()).count(word) for word in (SUPPORTED, REFUTED, OPEN)}
    return OPEN, "units disagree: " + ", ".join(f"{n} {word}" for word, n in counted.items() if n)


def together(values, lows, highs):
    """(mean, low, high) of numbers measured on the same documents, such as layers and pairs of domains.

    Ends are averaged as if all erred together: an SD of a mean is at most the mean SD, so it is never too
    narrow.
    """
    return tuple(float(np.mean(x)) if len(x) else math.nan for x in (values, lows, highs))


def apart(values, lows, highs):
    """The same of independent numbers, such as domains: squared reaches add up (MOVER, Zou & Donner 2008)."""
    values, lows, highs = (np.asarray(x, dtype=np.float64) for x in (values, lows, highs))
    if not len(values):
        return (math.nan,) * 3
    mean, n = float(values.mean()), len(values)
    reach = [float(np.sqrt(((x - values) ** 2).sum()) / n) for x in (lows, highs)]
    return mean, mean - reach[0], mean + reach[1]


def difference(a, b):
    """(a - b, low, high) of two (value, low, high): MOVER; too wide where both go up and down together."""
    value = a[0] - b[0]
    return value, value - math.hypot(a[0] - a[1], b[2] - b[0]), value + math.hypot(a[2] - a[0], b[0] - b[1])


def over_seeds(values, lows, highs):
    """(mean, low, high, noise) over seeds of numbers [S] with intervals over documents.

    Documents are the same for every seed, so their reach is not divided by S; to it adds Student's interval
    of the seeds. noise: SD over seeds, the noise floor; one seed has none.
    """
    from scipy.special import stdtrit

    values = np.asarray(values, dtype=np.float64)
    mean, low, high = together(values, lows, highs)
    if len(values) < 2:
        return mean, low, high, math.nan
    spread = float(values.std(ddof=1))
    reach = float(stdtrit(len(values) - 1, 0.975)) * spread / math.sqrt(len(values))
    return mean, mean - math.hypot(mean - low, reach), mean + math.hypot(high - mean, reach), spread
