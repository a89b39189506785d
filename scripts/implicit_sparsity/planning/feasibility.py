"""A plan that does not fit the GPU: which single change makes it fit, found by trying them."""

import copy

from implicit_sparsity.errors import InputError

from .cases import cases
from .costs import Study

GB = 1e9
SHORTEST = 128  # tokens; below, documents are cut to pieces


def _halvings(value, least):
    while value // 2 >= least:
        value //= 2
        yield value


def suggested_changes(study, model: str, rule: str, method: str):
    """(path in the config, value) to try, the least costly to the results first."""
    config = study.config
    entry = config["methods"].get(method, {})
    trained = study.methods.get((model, method))
    if rule == "train_adapter":
        if not config["training"].get("gradient_checkpointing"):
            yield ("training", "gradient_checkpointing"), True
        for size in _halvings(config["training"]["batch_size"], 1):
            yield ("training", "batch_size"), size
    elif rule == "warm_up_format":
        yield ("training", "format_warmup"), False
    elif rule in config["probes"]:
        yield from _lighter(study, rule)
    else:
        for size in _halvings(config["evals"]["batch_tokens"], config["tokens"]["max_length"]):
            yield ("evals", "batch_tokens"), size
        for items in _halvings(config["evals"]["generation_items"], 1):
            yield ("evals", "generation_items"), items
    for gpus in (2, 4, 8) if rule == "train_adapter" else ():
        if gpus > study.settings[model].gpus and gpus <= study.hardware.get("cards", 1):
            yield ("hardware", "cards_per_job", model), gpus
    if not (trained and trained.everything) and study.settings[model].quantization != "nf4":
        for kind in ("int8", "nf4"):
            if kind != study.settings[model].quantization:
                yield ("models", model, "quantization"), kind
    for length in _halvings(config["tokens"]["max_length"], SHORTEST):
        yield ("tokens", "max_length"), length
    if trained and trained.rank:
        for rank in _halvings(entry.get("rank", trained.rank), 1):
            yield ("methods", method, "rank"), rank
    if trained and trained.fraction:
        for part in (2, 4, 8, 16):
            yield ("methods", method, "fraction"), round(trained.fraction / part, 6)


def _lighter(study, name: str):
    """What a measurement's class says of its options: halves of a number, or the value that saves memory."""
    measurement = study.measurement(name)
    for option, lighter in measurement.LIGHTER.items():
        value = getattr(measurement, option)
        least = study.config["tokens"]["max_length"] if option == "batch_tokens" else 1
        better = _halvings(value, least) if lighter is None else [lighter] * (value != lighter)
        for each in better:
            yield ("probes", name, option), each


def changed(study, changes):
    """The study under other settings."""
    config = copy.deepcopy(study.config)
    for path, value in changes:
        place = config
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return Study(config, study.shapes, study.measured, study.lengths, study.fast)


def needed(study, model: str, case: tuple) -> float:
    return cases(study, model).get(case, {"total": 0.0})["total"]  # a case may be switched off


def tried(study, model: str, case: tuple) -> tuple[list, list]:
    """(changes that each suffice, [(path, value, bytes)], the first of every key; all that were tried)."""
    suffice, every = {}, []
    for path, value in suggested_changes(study, model, *case):
        total = needed(changed(study, [(path, value)]), model, case)
        every.append((path, value, total))
        if total <= study.gpu.memory:
            suffice.setdefault(path, (path, value, total))
    return list(suffice.values()), every


def say(path, value, total) -> str:
    word = str(value).lower() if isinstance(value, bool) else value
    return f"{'.'.join(path)}: {word} ({total / GB:.1f} GB)"


def check(study, model: str, trained_with=None) -> None:
    """InputError for the first thing that does not fit the GPU, with the smallest change that helps."""
    for case, parts in cases(study, model, trained_with).items():
        if parts["total"] <= study.gpu.memory:
            continue
        rule, method = case
        largest = sorted(((v, k) for k, v in parts.items() if k != "total"), reverse=True)[:3]
        what = f"{rule} with {method}" if method else rule
        line = (
            f"{what} needs {parts['total'] / GB:.1f} GB of memory "
            f"({', '.join(f'{name} {size / GB:.1f}' for size, name in largest)}), "
            f"one {study.hardware['card']} has {study.gpu.memory / GB:.1f}; "
        )
        raise InputError(line + advice(study, model, case), key=f"models.{model}")


def advice(study, model: str, case: tuple) -> str:
    """What to change, in words."""
    suffice, every = tried(study, model, case)
    if suffice:
        most = min(every, key=lambda change: change[2])
        line = f"smallest change that fits: {say(*suffice[0])}"
        if len(suffice) > 1:
            line += "; or " + " or ".join(say(*change) for change in suffice[1:])
        return line + f"; most is saved by {say(*most)}"
    together, total = {}, None
    for path, value, _ in every:  # no one change suffices: one key after the other, each as far as it goes
        together[path] = value
        total = needed(changed(study, list(together.items())), model, case)
        if total <= study.gpu.memory:
            words = ", ".join(f"{'.'.join(p)}: {str(v).lower()}" for p, v in together.items())
            return f"no one change suffices; together these fit: {words} ({total / GB:.1f} GB)"
    return f"nothing tried fits ({'.'.join(every[-1][0])} and all before it together: {total / GB:.1f} GB)"
