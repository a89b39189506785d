"""What a study has at the places that options speak of: names, values that are measured, limits.

A place is a name of SPECIAL below, or a path in the config: ``models`` (the names there), ``splits.probe`` (a
number), ``probes.input_spectra.energy`` (the values of an option, its default where the config has none).
"""

from .. import source
from ..study import Study
from .options import probe_module, with_defaults

# all scores that an evaluation may have
LOSSES = ("loss_content", "loss_first", "loss_stop", "loss_completion", "kl_content", "kl_completion")
OF_CHOICES, OF_ANSWERS = ("acc", "acc_norm"), ("exact_match", "exact_match_flexible", "format_failure")
OF_ANSWERS += ("answer_cut",)
SCORES = (*LOSSES, *OF_CHOICES, *OF_ANSWERS)


def scores(study: Study) -> list:
    """Scores that the evaluations of this study have."""
    evals = study.given["evals"]
    answers = OF_ANSWERS if evals["generate"] and evals["generation_items"] else ()
    return [*LOSSES, *(OF_CHOICES if evals["choice_items"] else ()), *answers]


def controls(study: Study) -> list:
    """Names of the controls that methods bring."""
    modules = (source.module_name("methods", name) for name in source.available("methods"))
    return sorted({name for module in modules for name in source.class_literal(module, "CONTROLS")})


def second_stages(study: Study) -> list:
    """Checkpoints that have a stage before them."""
    names = (name for model in study.models for name in study.stages(model))
    return [name for name in names if not name.endswith(".stage1")]


def checkpoints(study: Study, figure: str) -> list:
    """Checkpoints that the measurement behind a figure takes of any model."""
    for table in source.class_literal(source.module_name("figures", figure), "TABLES"):
        for need in study.needs(table) if table in source.available("probes") else ():
            if need in study.measures:
                names = (name for model in study.models for name in study.probed(model, need))
                return list(dict.fromkeys(names))
    return ["base"]


SPECIAL = {
    "methods": lambda study: sorted({*study.families, *(o["family"] for o in study.families.values())}),
    "scores": scores,
    "compared scores": lambda study: [s for s in study.given["comparisons"]["margins"] if s in scores(study)],
    "controls": controls,
    "untrained domains": lambda study: [
        name for name in study.domains if not any(name in order for order in study.given["orders"].values())
    ],
    "second stages": second_stages,
    "longest order": lambda study: max(map(len, study.given["orders"].values())),
    "splits.probe x tokens.max_length": lambda study: (
        study.given["splits"]["probe"] * study.given["tokens"]["max_length"]
    ),
}
# where the config says what is at a place
WRITTEN = {
    "controls": (),
    "scores": ("evals",),
    "compared scores": ("comparisons", "margins"),
    "checkpoints": ("probes",),
    "untrained domains": ("orders",),
    "second stages": ("orders",),
    "longest order": ("orders",),
    "splits.probe x tokens.max_length": ("splits", "probe"),
}


def at(study: Study, place: str, path=()):
    """What the study has at a place: a list of names or values, a number, whether something is on; None
    where it has no such place. ``path``: of the option that speaks of it."""
    if place == "checkpoints":
        return checkpoints(study, path[1])
    if place in SPECIAL:
        return SPECIAL[place](study)
    part = study.given
    for depth, key in enumerate(path_of(place)):
        if not isinstance(part, dict) or key not in part:
            return None
        part = part[key]
        if depth == 1 and place.startswith("probes."):
            part = with_defaults(probe_module(key), part)
    return list(part) if isinstance(part, dict) and not place.startswith("probes.") else part


def path_of(place: str) -> tuple:
    """Where the config says what is at a place."""
    return WRITTEN.get(place, tuple(place.split(".")))
