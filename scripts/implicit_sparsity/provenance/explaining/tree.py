"""The tree that is printed: an artifact, what it says, and below it what it was made of, each once."""

from pathlib import Path

from implicit_sparsity.errors import InputError

from . import facts, graph

FEW = 3  # inputs of one rule that are spelled out where there are many


def lines(file, everything: bool = False):
    """The lines for a file below results/; InputError where it is not there or nothing is known of it."""
    root, path = graph.study_of(file)
    artifact = graph.find(root, path)
    if artifact is None:
        raise InputError("is no artifact of a study: neither it nor Snakemake says what made it", path=file)
    if artifact.path != path:
        yield f"{path} is part of:"
    yield from _node(root, artifact, "", "", {artifact.path}, everything, None)


def _node(root: Path, artifact, first: str, rest: str, printed: set, everything: bool, expected):
    """One artifact and all below it; ``expected``: its id when the artifact above read it."""
    now = artifact.record.get("id")
    notes = (
        [" (left out of the archive)"] if artifact.place and graph.LEFT_OUT in artifact.place.parts else []
    )
    notes += [" (not here)"] if artifact.place is None else []
    notes += [" (MADE AGAIN since it was read above)"] if expected and now and expected != now else []
    yield f"{first}{artifact.path}{''.join(notes)}"
    inputs = [(graph.load(root, path), seen) for path, seen in artifact.inputs.items()]
    bar = "|  " if inputs else "   "
    yield from (f"{rest}{bar}{line}" for line in facts.of(artifact))
    shown, more = _chosen(inputs, everything)
    for position, (child, seen) in enumerate(shown):
        last = position == len(shown) - 1 and not more
        lead, below = (f"{rest}`- ", f"{rest}   ") if last else (f"{rest}|- ", f"{rest}|  ")
        if child.path in printed and child.inputs:
            yield f"{lead}{child.path} (see above)"
        else:
            printed.add(child.path)
            yield from _node(root, child, lead, below, printed, everything, seen)
    for position, (rule, count) in enumerate(more.items()):
        yield f"{rest}{'`- ' if position == len(more) - 1 else '|- '}and {count} more of rule {rule} (ALL=1)"


def _chosen(inputs: list, everything: bool):
    """(inputs to spell out, {rule: how many more})."""
    shown, more, counts = [], {}, {}
    for child, seen in inputs:
        rule = child.record.get("rule", "none")
        counts[rule] = counts.get(rule, 0) + 1
        if everything or counts[rule] <= FEW:
            shown.append((child, seen))
        else:
            more[rule] = more.get(rule, 0) + 1
    return shown, more
