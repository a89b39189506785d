"""The jobs of a workflow that the plan counts, and what each waits for."""

from implicit_sparsity.provenance import planned_jobs
from implicit_sparsity.workflow import measures, source

from .costs import Job


def linked(jobs: list[planned_jobs.Job]) -> list[Job]:
    """Jobs of a dry run. A job waits for those whose outputs it reads; files that no job makes were there
    before."""
    maker = {file: job.number for job in jobs for file in job.files["output"]}
    return [
        Job(
            job.number,
            job.rule,
            job.wildcards,
            tuple(sorted({maker[file] for file in job.files["input"] if file in maker} - {job.number})),
        )
        for job in jobs
    ]


def planned(checkpoints: dict, domains: list, reference: str = "", warm: bool = False) -> list[Job]:
    """The jobs that ask for a GPU, without order: {model: {"trained": names of checkpoints, "measured":
    {measurement: names of checkpoints}, and where there are any "controls": their names}}; ``reference``:
    the domain that is measured only where a measurement needs it; ``warm``: after a format warm-up."""
    result = []
    for model, kinds in checkpoints.items():
        if warm:
            result.append(("warm_up_format", {"model": model}))
        for name in kinds["trained"]:
            method, order, seed, stage = name.split(".")
            wildcards = {"method": method, "order": order, "seed": seed[4:], "stage": stage[5:]}
            result.append(("train_adapter", {"model": model} | wildcards))
        for measurement, names in kinds["measured"].items():
            place = source.module_name("measurements", measurement)
            scope, needs = (source.class_literal(place, literal) for literal in ("SCOPE", "NEEDS"))
            taken = measures.domains_of(needs, domains, reference)
            for name in names:
                at = {"measurement": measurement, "model": model, "checkpoint": name}
                many = [{"domain": domain} for domain in taken] if scope == "domain" else [{}]
                result += [(f"measure_{scope}", at | more) for more in many]
        for name in kinds.get("controls", ()):
            result.append(("measure_control", {"model": model, "control": name}))
        for name in ("base", *kinds["trained"]):
            result.append(("evaluate_checkpoint", {"model": model, "checkpoint": name}))
    return [Job(number, rule, wildcards) for number, (rule, wildcards) in enumerate(result)]
