"""Before any GPU is asked for: does every model fit, and what will it take? One plan a model."""

from pathlib import Path

from implicit_sparsity.storage.files import write_json
from implicit_sparsity.workflow import job


def preflight(plans, summary, checkpoints, study, families):
    """Write ``plans`` (JSON, a file a model) and ``summary`` (Markdown); with ``hardware`` print the summary.

    ``checkpoints``: {model: {trained, measured, gradients, controls}}, names of checkpoints and of controls;
    ``study``: sections of the config, of ``probes`` the measurements alone; ``families``: variant of a method
    -> its family, by which the summary calls it. Raises InputError for a plan that no GPU holds, with the
    smallest change that helps.
    """
    from implicit_sparsity.planning import feasibility, plan, refusals, report

    whole, notes = plan.study_of(study)
    for model, shape in whole.shapes.items():
        trained = plan.methods_of(checkpoints[model])
        refusals.check(shape, model, {n: entry for n, entry in study["methods"].items() if n in trained})
        refusals.check_measured(shape, model, study.get("probes", {}))
    hardware = study["hardware"]
    made = {model: plan.of_model(whole, model, checkpoints[model], notes) for model in whole.shapes}
    bounds = hardware | {"gb": whole.gpu.memory / 1e9} if hardware else {}
    text = "\n\n".join(report.of_model(made[model], bounds, families) for model in made)
    if notes["warning"]:
        text = f"Warning: {notes['warning']}\n\n{text}"
    if hardware:
        print(text, flush=True)
        for model in whole.shapes:
            feasibility.check(whole, model, plan.methods_of(checkpoints[model]))
    for path in job.listed(plans):
        write_json(path, made[Path(path).stem])
    Path(summary).write_text(f"# Plan\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    job.run(preflight, snakemake)
