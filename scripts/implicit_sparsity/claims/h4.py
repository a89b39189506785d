"""H4: a constrained learner starts behind LoRA and ends ahead after several rounds.

a_k: mean over the domains trained so far of the score after stage k, higher being better (losses turned
round). effect: a_1 of LoRA less a_1 of the method (behind at the start) and a_T of the method less LoRA's
(ahead at the end); the claim needs both. Of a method's sweep the setting with the best a_T, mean over seeds,
for LoRA as well. Interval: Student's over seeds, paired, and the standard errors over groups of documents
of both, as if not paired, since the table has no covariance: wider than it need be; Student's t of the domain
that has fewest groups.
"""

from dataclasses import dataclass

from implicit_sparsity.metrics import score_names, stagewise, verdict
from implicit_sparsity.options import option

from .base import OfMethods


@dataclass
class H4(OfMethods):
    QUESTION = "Does a constrained learner start behind LoRA and end ahead?"
    STATEMENT = "A constrained learner starts behind LoRA and ends ahead of it after several rounds."
    REFUTED = "the curves do not cross within the rounds run"
    TABLES = ("r_matrices", "scores")
    FIGURE = "rounds"
    EFFECT = "mean score on the domains trained so far: behind after the first stage, ahead after the last"
    NOISE = "SD over seeds of the difference of two runs"
    MEAN = "paired by seed; Student's interval over seeds added to the groups'"

    threshold: float = option(
        ..., low=0, high=1000, help="by how much behind and ahead, in the score's units"
    )
    methods: tuple[str, ...] = option(
        ("activation_mask", "orthogonal"), of="methods", help="entries of methods, each judged"
    )
    against: str = option("lora", of="methods", help="the entry that is to be crossed")
    score: str = option("loss_content", of="scores", help="of which the curves are")
    rounds: int = option(3, low=2, high="longest order", help="stages of an order that it takes")

    def look(self, finding, tables, study):
        curves = stagewise.curves(tables["r_matrices"], tables["scores"], study.families, self.score)
        for method in (*self.methods, self.against):
            if method not in set(curves["family"]):
                finding.miss(f"runs of the method {method}")
        if finding.missing:
            return
        curves = stagewise.best_settings(curves)
        for model, here in curves.groupby("model", sort=False):
            for method in self.methods:
                pair = here[here["family"].isin([method, self.against])]
                seeds = [
                    self._one(finding, part, model, order, method)
                    for order, part in pair.groupby("order", sort=False)
                ]
                if method not in set(pair["family"]) or self.against not in set(pair["family"]):
                    finding.skip(f"{model} is not trained with both {method} and {self.against}")
                else:
                    self.ask(finding, min(seeds), pair["order"], f"{method} and {self.against} on {model}")

    def _one(self, finding, part, model, order, method) -> int:
        """Adds evidence of one order; seeds that both methods have."""
        last = int(part["stage"].max())
        if last < self.rounds:
            finding.skip(f"{model}, order {order}: {last} rounds of {self.rounds}")
            return self.seeds
        from scipy.special import stdtrit

        ahead = stagewise.ahead(part, method, self.against)
        if ahead.empty:
            return 0
        means = ahead.groupby("stage")["value"].mean()
        crossed = next((int(k) for k in means.index if means[k] > 0 and k > 1), None)
        crossing = f"ahead from stage {crossed} on" if crossed else "never ahead"
        for stage, sign, what in ((1, -1, "behind at the start"), (last, 1, "ahead at the end")):
            rows = ahead[ahead["stage"] == stage]
            groups = int(rows["groups"].min())
            wide = float(stdtrit(max(groups - 1, 1), 0.975))
            values, reach = sign * rows["value"].to_numpy(), wide * rows["stderr"].to_numpy()
            *three, noise = verdict.over_seeds(values, values - reach, values + reach)
            metadata = {"n": rows["n"].max(), "seeds": len(rows), "order": order, "subject": method}
            metadata["groups"] = groups
            metadata |= {"what": what, "unit": score_names.unit(self.score), "detail": crossing}
            finding.evidence.append(self.piece(model, three, noise, **metadata))
        return int(ahead.groupby("stage")["seed"].nunique().min())
