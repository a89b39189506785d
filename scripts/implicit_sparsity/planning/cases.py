"""What runs on a GPU, and what memory it takes there: every job at its fullest stage, every method."""

from . import measuring, memory, warming


def cases(study, model: str, trained_with=None) -> dict:
    """{(rule or measurement, method or ""): memory by part} of what the study asks of one model.

    ``trained_with``: names of the methods that it is trained with, all where it is None.
    """
    shape, setting = study.shapes[model], study.settings[model]
    last = max((len(order) for order in study.config["orders"].values()), default=0)
    methods = {name: method for (owner, name), method in study.methods.items() if owner == model}
    measured = study.measurements
    result = {(name, ""): measuring.peak(study, model, name) for name in measured}
    if warming.budget(study):
        result["warm_up_format", ""] = warming.peak(study, model)
    result["evaluate_checkpoint", ""] = memory.evaluate(shape, setting)
    for name, method in methods.items() if last else ():
        if trained_with is not None and name not in trained_with:
            continue
        result["train_adapter", name] = memory.train(shape, method, setting, last)
        result["evaluate_checkpoint", name] = memory.evaluate(shape, setting, method, last)
        for each in measured:
            only = getattr(study.measurement(each), "methods", ()) or methods
            if study.measurement(each).stages != "base" and name in only:
                result[each, name] = measuring.peak(study, model, each, method, last)
    return result
