"""The jobs of a workflow and what each waits for, from the plan that `snakemake --dry-run` prints."""

import re

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import measures, source

from .costs import Job

BLOCK = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$", re.M)
FIELD = re.compile(r"^    (input|output|jobid|wildcards): (.*)$", re.M)


def parse(text: str) -> list[Job]:
    """Jobs of a dry run's output. A job waits for those whose outputs it reads; files that no job makes were
    there before."""
    parts = BLOCK.split(text)[1:]
    blocks = []
    for rule, body in zip(parts[::2], parts[1::2], strict=True):
        fields = dict(FIELD.findall(body.split("\n\n", 1)[0]))
        if "jobid" not in fields:
            raise InputError(f"the dry run's rule {rule} has no jobid: another Snakemake than 9.27?")
        pairs = [pair.split("=", 1) for pair in fields.get("wildcards", "").split(", ") if "=" in pair]
        files = {key: fields.get(key, "").split(", ") for key in ("input", "output")}
        blocks.append((int(fields["jobid"]), rule, dict(pairs), files))
    maker = {file: number for number, _, _, files in blocks for file in files["output"] if file}
    return [
        Job(
            number,
            rule,
            wildcards,
            tuple(sorted({maker[f] for f in files["input"] if f in maker} - {number})),
        )
        for number, rule, wildcards, files in blocks
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
