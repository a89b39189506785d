"""Short logic puzzles of reasoning-gym with exact answers, grouped by logical form.

    id          "syllogism 12"               group  "syllogism: All A are B; No B are C; Some A are not C"
    prompt      "Consider these statements:\\n1. All adults are grandparents\\n2. No ..."
    completion  "Yes"                        choices  ["No", "Yes"]

Only the form is held out, since names and nouns are drawn anew for every puzzle. Two generators give wrong
answers (0.1.25), and those puzzles are dropped and counted: about one syllogism in seven is called valid
though a model of its premises refutes it (checked here over all models of three non-empty terms), and
family_relationships names in-laws and nieces from the wrong side.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import order_key, too_long
from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import version

LICENCE = "Apache-2.0"
TASKS = ("syllogism", "family_relationships", "knights_knaves")
OPTIONS = {"n_choices": {"low": 2}, "tasks": {"choices": TASKS}}
RELATIONS = (  # those whose answers are right
    *("mother", "father", "sister", "brother", "daughter", "son", "wife", "husband"),
    *("grandmother", "grandfather"),
)
STATEMENT = re.compile(r"(All|No|Some) (\w+) are (not )?(\w+)")


def versions() -> dict[str, str]:
    return {"reasoning-gym": version("reasoning-gym")}


def documents(
    limit: int,
    seed: int,
    tasks: list = ("syllogism", "family_relationships", "knights_knaves"),
    n_choices: int = 4,
    max_chars: int | None = None,
) -> Iterator[dict | Dropped]:
    """Puzzles of ``tasks`` in turn, until there are ``limit``."""
    if limit is None:
        raise InputError("a generator has no end: give a limit", key="limit")
    if unknown := sorted(set(tasks) - set(TASKS)) or ([] if tasks else ["none"]):
        raise InputError(f"no task {unknown[0]!r} (there are: {', '.join(TASKS)})", key="tasks")
    streams = [_puzzles(task, 20 * limit + 1000, seed, n_choices, max_chars) for task in tasks]
    given = 0
    for items in zip(*streams):
        for item in items:
            if given == limit:
                return
            given += isinstance(item, dict)
            yield item


def _puzzles(task: str, size: int, seed: int, n_choices: int, max_chars) -> Iterator[dict | Dropped]:
    from implicit_sparsity.corpora.puzzles import create_dataset

    seen = set()
    for index, puzzle in enumerate(create_dataset(task, seed=seed, size=size)):
        form, right, choices = FORMS[task](puzzle)
        record = _record(task, index, puzzle, form, seed, choices, n_choices)
        if not right:
            yield Dropped(f"wrong answer in {task}")
        elif record["prompt"] in seen:
            yield Dropped("repeated question")
        elif too_long(record, max_chars):
            yield Dropped("over max_chars")
        else:
            seen.add(record["prompt"])
            yield record


def _record(task, index, puzzle, form, seed, choices, n_choices) -> dict:
    answer = puzzle["answer"].strip()
    ranked = sorted({answer, *choices}, key=lambda text: order_key(seed, f"{task} {index}:{text}"))
    wrong = [choice for choice in ranked if choice != answer][: max(1, n_choices - 1)]
    return {
        "id": f"{task} {index}",
        "group": f"{task}: {form}",
        "prompt": puzzle["question"].strip(),
        "completion": answer,
        "choices": [choice for choice in ranked if choice in (answer, *wrong)],
        "answer": answer,
        "licence": LICENCE,
    }


def _syllogism(puzzle) -> tuple[str, bool, list[str]]:
    """The form with letters for nouns, whether the stated answer is right, the choices."""
    nouns: list[str] = []
    parts = []
    for key in ("premise1", "premise2", "conclusion"):
        quantifier, a, negation, b = STATEMENT.fullmatch(puzzle["metadata"][key]).groups()
        nouns += [noun for noun in (a, b) if noun not in nouns]
        parts.append((quantifier, nouns.index(a), bool(negation), nouns.index(b)))
    form = "; ".join(f"{q} {'ABCD'[a]} are {'not ' * n}{'ABCD'[b]}" for q, a, n, b in parts)
    return form, _follows(tuple(parts)) == (puzzle["answer"] == "Yes"), ["Yes", "No"]


@cache
def _follows(statements: tuple) -> bool:
    """Whether the last statement holds in every model of the others, each noun naming at least one thing.

    A model is the set of kinds of things that exist; a kind says for each noun whether it applies.
    """
    n = 1 + max(max(a, b) for _, a, _, b in statements)
    kinds = list(product([False, True], repeat=n))
    for exists in product([False, True], repeat=len(kinds)):
        model = [kind for kind, here in zip(kinds, exists) if here]
        if all(any(kind[noun] for kind in model) for noun in range(n)):
            *premises, conclusion = (_holds(statement, model) for statement in statements)
            if all(premises) and not conclusion:
                return False
    return True


def _holds(statement: tuple, model: list) -> bool:
    quantifier, a, negated, b = statement
    overlap = any(kind[a] and kind[b] for kind in model)
    outside = any(kind[a] and not kind[b] for kind in model)
    return {"All": not outside, "No": not overlap, "Some": outside if negated else overlap}[quantifier]


def _family(puzzle) -> tuple[str, bool, list[str]]:
    """The story and question with numbers for names."""
    names: list[str] = []
    for word in re.findall(r"[A-Z][a-z]+", puzzle["question"]):
        if word not in names and word not in ("They", "What", "How", "Respond", "Answer", "Provide"):
            names.append(word)
    story = re.sub(r" (Respond|Provide|Answer).*| child(ren)? called", "", puzzle["question"])
    form = re.sub(r"[A-Z][a-z]+", lambda m: f"P{names.index(m[0])}" if m[0] in names else m[0], story)
    return " ".join(form.split()), puzzle["answer"] in RELATIONS, list(RELATIONS)


def _knights(puzzle) -> tuple[str, bool, list[str]]:
    """The statements as a formula, the choices every assignment of the two kinds."""
    facts = puzzle["metadata"]
    kinds = facts["knight_knave_terms"]
    options = product([str(kinds["a_knight"]), str(kinds["a_knave"])], repeat=len(facts["names"]))
    assignments = [[f"{name} is {kind}" for name, kind in zip(facts["names"], option)] for option in options]
    choices = [", ".join(parts[:-1]) + f", and {parts[-1]}." for parts in assignments]
    return repr(facts["statements"]), puzzle["answer"].strip() in choices, choices


FORMS = {"syllogism": _syllogism, "family_relationships": _family, "knights_knaves": _knights}
