"""The estimate of a whole study as text: per rule, in all, on N GPUs, still to do, and how it grows."""

from . import costs, feasibility, growth, measured, plan, promises, report, schedule, storage

GPUS = (1, 2, 4, 8)
AROUND = ("all",)  # rules that make nothing


def text(
    study, notes: dict, checkpoints: dict, everything: list, left: list, results: str = "results"
) -> str:
    """Every part, one after the other."""
    ran = measured.jobs(f"{results}/benchmarks")
    stages = measured.stages(f"{results}/adapters")
    everything = [job for job in everything if job.rule not in AROUND]
    left = [job for job in left if job.rule not in AROUND]
    parts = [f"Warning: {notes['warning']}"] if notes["warning"] else []
    parts += ["## Jobs", rules(study, everything, ran, stages), remaining(study, left, ran)]
    parts += [wall_clock(study, everything, left, ran)]
    rooms = storage.rooms(study, everything)
    parts += ["On disk: " + ", ".join(f"{room} {size / 1e9:.2f} GB" for room, size in rooms.items()) + "."]
    for model in study.shapes:
        made = plan.of_model(study, model, checkpoints[model], notes)
        parts += [f"{model}, {line}." for line in promises.lines(study, model)]
        if study.hardware:
            parts += [f"## {model}", *budgets(study, model, made), report.assumed(made)]
    return "\n\n".join([*parts, growth.text(study, everything)])


def budgets(study, model: str, made: dict) -> list[str]:
    """The fullest moments beside the GPU, and the user's own ranges."""
    fullest = max(made["memory"].items(), key=lambda case: case[1]["total"])
    room, need = study.gpu.memory, fullest[1]["total"]
    line = f"Fullest: {fullest[0]}, {need / 1e9:.1f} GB of {room / 1e9:.1f}"
    if need > room:
        case = tuple((fullest[0] + " ").split(" ", 1))
        line += f": DOES NOT FIT; {feasibility.advice(study, model, (case[0], case[1].strip()))}"
    return [f"{line}.", *([report.budget(made["budget"])] if made["budget"] else [])]


def seconds_of(study, jobs: list, ran: dict) -> dict:
    """{job: (seconds, where they are from)}: on a GPU as estimated, elsewhere as measured where it was."""
    means: dict = {}
    for (kind, _), (seconds, _) in ran.items():
        means.setdefault(kind, []).append(seconds)
    result = {}
    for job in jobs:
        cost = study.cost(job)
        known = ran.get(measured.name_of(job), (None,))[0]
        if known is None and job.kind in means:
            known = sum(means[job.kind]) / len(means[job.kind])
        result[job.number] = cost.seconds if cost.gpu or known is None else known
    return result


def rules(study, jobs: list, ran: dict, stages: dict) -> str:
    """A row a rule: the estimate, and what was measured beside it."""
    hardware, rows, total = study.hardware, [], [0, 0.0]
    price = hardware.get("price_per_hour", 0)
    grouped: dict = {}
    for job in jobs:
        grouped.setdefault(job.kind, []).append(job)
    for rule, members in sorted(grouped.items()):
        costs = [study.cost(job) for job in members]
        spent = sum(cost.gpu * cost.seconds for cost in costs) / 3600
        known = [(job, ran[measured.name_of(job)]) for job in members if measured.name_of(job) in ran]
        took = sum(seconds for _, (seconds, _) in known) / len(known) if known else None
        peak = max((memory for _, (_, memory) in known), default=0) / 1000
        peaks = [
            stages[measured.name_of(job)]["peak_memory_mb"]
            for job in members
            if measured.name_of(job) in stages
        ]
        peak = max([peak, *(mb / 1000 for mb in peaks)])
        each = sum(cost.seconds for cost in costs) / len(costs)
        rows.append(
            (
                rule,
                len(members),
                report.number(sum(c.tokens for c in costs)),
                report.number(sum(c.flops for c in costs)),
            )
            + (report.hours(spent), f"{spent * price:.0f}", f"{each:.0f}" if each else "")
            + ((f"{took:.0f} (n={len(known)})", f"{peak:.2f}") if known else ("", ""))
        )
        total[0] += len(members)
        total[1] += spent
    rows.append(("in all", total[0], "", "", report.hours(total[1]), f"{total[1] * price:.0f}", "", "", ""))
    head = ("rule", "jobs", "tokens", "FLOPs", "GPU hours", hardware.get("currency", "cost"))
    return report.table((*head, "s a job, estimated", "measured", "GB, measured"), rows, right=range(1, 9))


def remaining(study, left: list, ran: dict) -> str:
    """What is still to do."""
    if not left:
        return "Still to do: nothing."
    spent = sum(study.cost(job).gpu * study.cost(job).seconds for job in left) / 3600
    counts: dict = {}
    for job in left:
        counts[job.kind] = counts.get(job.kind, 0) + 1
    listed = ", ".join(f"{count} {rule}" for rule, count in sorted(counts.items()))
    price, currency = study.hardware.get("price_per_hour", 0), study.hardware.get("currency", "")
    cost = f", {report.hours(spent)} GPU hours, {spent * price:.0f} {currency}" if study.hardware else ""
    return f"Still to do: {len(left)} jobs ({listed}){cost}."


def wall_clock(study, everything: list, left: list, ran: dict) -> str:
    """Of all and of what is left, by list scheduling; without a GPU, of so many jobs at a time."""
    if not study.hardware and not ran:
        return "No wall-clock: no `hardware` is configured and no job has run yet."
    heavy = ("train_adapter", "warm_up_format", *costs.MEASURING, "measure_control", "evaluate_checkpoint")
    rows = []
    for gpus in sorted({*GPUS, study.hardware.get("cards", 1)}):
        row = [gpus]
        for jobs in (everything, left):
            inside = {job.number for job in jobs}
            jobs = [
                type(job)(job.number, job.rule, job.wildcards, tuple(inside & set(job.after))) for job in jobs
            ]
            held = {
                job.number: study.cost(job).gpu or int(not study.hardware and job.rule in heavy)
                for job in jobs
            }
            took = schedule.makespan(jobs, seconds_of(study, jobs, ran), held, gpus) if jobs else 0.0
            row.append("does not fit" if took == float("inf") else f"{took / 3600:.2f}")
        rows.append(tuple(row))
    what = "cards" if study.hardware else "jobs with a model at a time"
    return report.table((what, "hours, everything", "hours, still to do"), rows, right=(0, 1, 2))
