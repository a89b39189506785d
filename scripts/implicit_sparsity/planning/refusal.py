"""A plan that does not fit the card: which single change makes it fit, found by trying them."""

import copy
import dataclasses

from implicit_sparsity.errors import InputError

GB = 1e9
SHORTEST = 128  # tokens; below, documents are cut to pieces


def cases(study, model: str, trains: bool = True) -> dict:
    """What runs on a card, {(rule, method or ""): memory by part}, each at its fullest stage."""
    from . import memory

    shape, setting = study.shapes[model], study.settings[model]
    last = max((len(order) for order in study.config["orders"].values()), default=0)
    found = {}
    measured = last if study.config["probes"]["activations"]["stages"] != "base" else 0
    methods = {name: method for (owner, name), method in study.methods.items() if owner == model}
    found["measure_activations", ""] = memory.probe(shape, setting)
    found["evaluate_checkpoint", ""] = memory.evaluate(shape, setting)
    if "gradients" in study.config["probes"]:
        found["measure_gradients", ""] = gradients(study, model)
    if "thresholds" in study.config["probes"]:
        found["measure_thresholds", ""] = thresholds(study, model)
    for name, method in methods.items() if trains and last else ():
        found["train_adapter", name] = memory.train(shape, method, setting, last)
        found["evaluate_checkpoint", name] = memory.evaluate(shape, setting, method, last)
        if measured:
            found["measure_activations", name] = memory.probe(shape, setting, method, last)
    return found


def gradients(study, model: str) -> dict:
    """Gradients of one document: a training step without an optimizer."""
    from . import memory, trained

    shape, rank = study.shapes[model], study.config["probes"]["gradients"]["rank"]
    setting = memory.of_gradients(study.settings[model], study.config)
    parts = memory.train(shape, trained.Trained(shape, rank=rank), setting)
    spared = parts.pop("optimizer", 0.0)
    return parts | {"total": parts["total"] - spared}


def thresholds(study, model: str) -> dict:
    """Scoring without generation, on batches of its own."""
    from . import memory

    tokens = max(study.config["probes"]["thresholds"]["batch_tokens"], study.config["tokens"]["max_length"])
    setting = dataclasses.replace(study.settings[model], eval_tokens=tokens, generated=0)
    return memory.evaluate(study.shapes[model], setting)


def _halvings(value, least):
    while value // 2 >= least:
        value //= 2
        yield value


def knobs(study, model: str, rule: str, method: str):
    """(path in the config, value) to try, the least costly to the results first."""
    config = study.config
    entry = config["methods"].get(method, {})
    trained = study.methods.get((model, method))
    if rule == "train_adapter":
        if not config["training"].get("gradient_checkpointing"):
            yield ("training", "gradient_checkpointing"), True
        for size in _halvings(config["training"]["batch_size"], 1):
            yield ("training", "batch_size"), size
    elif rule == "measure_thresholds":
        batch = config["probes"]["thresholds"]["batch_tokens"]
        for size in _halvings(batch, config["tokens"]["max_length"]):
            yield ("probes", "thresholds", "batch_tokens"), size
    elif rule == "measure_gradients":
        if not config["probes"]["gradients"].get("gradient_checkpointing"):
            yield ("probes", "gradients", "gradient_checkpointing"), True
        for rank in _halvings(config["probes"]["gradients"]["rank"], 1):
            yield ("probes", "gradients", "rank"), rank
    else:
        section = ("probes", "activations") if rule == "measure_activations" else ("evals",)
        inner = config["probes"]["activations"] if len(section) == 2 else config["evals"]
        for size in _halvings(inner["batch_tokens"], config["tokens"]["max_length"]):
            yield (*section, "batch_tokens"), size
        for items in _halvings(inner.get("generation_items", 0), 1):
            yield (*section, "generation_items"), items
    for cards in (2, 4, 8) if rule == "train_adapter" else ():
        if cards > study.settings[model].cards and cards <= study.hardware.get("cards", 1):
            yield ("hardware", "cards_per_job", model), cards
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


def changed(study, changes):
    """The study under other settings."""
    from .costs import Study

    config = copy.deepcopy(study.config)
    for path, value in changes:
        place = config
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return Study(config, study.shapes, study.measured, study.lengths, study.fast)


def needed(study, model: str, case: tuple) -> float:
    return cases(study, model)[case]["total"]


def tried(study, model: str, case: tuple) -> tuple[list, list]:
    """(changes that each suffice, [(path, value, bytes)], the first of every knob; all that were tried)."""
    suffice, every = {}, []
    for path, value in knobs(study, model, *case):
        total = needed(changed(study, [(path, value)]), model, case)
        every.append((path, value, total))
        if total <= study.card.memory:
            suffice.setdefault(path, (path, value, total))
    return list(suffice.values()), every


def say(path, value, total) -> str:
    word = str(value).lower() if isinstance(value, bool) else value
    return f"{'.'.join(path)}: {word} ({total / GB:.1f} GB)"


def check(study, model: str, trains: bool = True) -> None:
    """InputError for the first thing that does not fit the card, with the smallest change that helps."""
    for case, parts in cases(study, model, trains).items():
        if parts["total"] <= study.card.memory:
            continue
        rule, method = case
        largest = sorted(((v, k) for k, v in parts.items() if k != "total"), reverse=True)[:3]
        what = f"{rule} with {method}" if method else rule
        line = (
            f"{what} needs {parts['total'] / GB:.1f} GB of memory "
            f"({', '.join(f'{name} {size / GB:.1f}' for size, name in largest)}), "
            f"one {study.hardware['card']} has {study.card.memory / GB:.1f}; "
        )
        raise InputError(line + advice(study, model, case), key=f"models.{model}")


def advice(study, model: str, case: tuple) -> str:
    """What to change, in words."""
    suffice, every = tried(study, model, case)
    if suffice:
        most = min(every, key=lambda found: found[2])
        line = f"smallest change that fits: {say(*suffice[0])}"
        if len(suffice) > 1:
            line += "; or " + " or ".join(say(*found) for found in suffice[1:])
        return line + f"; most is saved by {say(*most)}"
    together, total = {}, None
    for path, value, _ in every:  # no one change suffices: one knob after the other, each as far as it goes
        together[path] = value
        total = needed(changed(study, list(together.items())), model, case)
        if total <= study.card.memory:
            words = ", ".join(f"{'.'.join(p)}: {str(v).lower()}" for p, v in together.items())
            return f"no one change suffices; together these fit: {words} ({total / GB:.1f} GB)"
    return f"nothing tried fits ({'.'.join(every[-1][0])} and all before it together: {total / GB:.1f} GB)"
