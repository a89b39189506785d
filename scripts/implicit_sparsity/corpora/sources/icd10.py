"""ICD-10-CM: other names that a diagnosis covers -> the diagnosis, with sibling diagnoses as choices.

    id          "A00.0"                      group  "A00-A09 Intestinal infectious diseases"
    prompt      "Which ICD-10-CM diagnosis covers this? Classical cholera"
    completion  "Cholera due to Vibrio cholerae 01, biovar cholerae"
    choices     that, "Cholera due to Vibrio cholerae 01, biovar eltor", "Cholera, unspecified", ...

Read from the tabular list inside simple-icd-10-cm. The prompt is the inclusion terms of the code; about 6,800
codes have some. The group is the block: codes of one block share their words.
"""

import re
from collections.abc import Iterator

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sameness import key as same
from implicit_sparsity.corpora.sampling import order_key, sample, within
from implicit_sparsity.storage.files import package_file, version

OPTIONS = {"n_choices": {"low": 2, "besides": (0,)}}
LICENCE = "MIT (simple-icd-10-cm); ICD-10-CM text: public domain (CDC/NCHS)"
QUESTION = "Which ICD-10-CM diagnosis covers this? "


def versions() -> dict[str, str]:
    return {"simple-icd-10-cm": version("simple-icd-10-cm"), "icd10cm": _file().stem}


def _file():
    folder = package_file("simple_icd_10_cm", "__init__.py").parent / "data"
    return package_file("simple_icd_10_cm", "data", sorted(p.name for p in folder.glob("*tabular*.xml"))[-1])


def documents(
    limit: int | None, seed: int, n_choices: int = 4, max_chars: int | None = None
) -> Iterator[dict | Dropped]:
    """Codes with inclusion terms, with ``n_choices`` diagnoses to choose from (0: none)."""
    import xml.etree.ElementTree as ElementTree  # the file comes with an installed package: trusted

    root = ElementTree.parse(_file()).getroot()
    records = (record for block in root.iter("section") for record in _block(block, seed, n_choices))
    yield from sample(within(records, max_chars), limit, seed)


def _block(block, seed: int, n_choices: int) -> Iterator[dict | Dropped]:
    title = re.sub(r"\s*\([^()]*\)$", "", block.findtext("desc", "").strip())
    group = f"{block.get('id')} {title}"
    parents = {child: parent for parent in block.iter() for child in parent.findall("diag")}
    for code in block.iter("diag"):
        terms = [note.text.strip() for note in code.findall("inclusionTerm/note") if note.text]
        name = code.findtext("desc").strip()
        terms = [term for term in terms if same(term) != same(name)]
        if terms:
            yield _record(code, name, terms, group, parents, seed, n_choices)


def _record(code, name, terms, group, parents, seed, n_choices) -> dict | Dropped:
    identifier = code.findtext("name").strip()
    record = {
        "id": identifier,
        "group": group,
        "prompt": QUESTION + "; ".join(terms),
        "completion": name,
        "licence": LICENCE,
    }
    if n_choices:
        others = _near(code, identifier, name, parents, seed, n_choices - 1)
        if len(others) < n_choices - 1:
            return Dropped("too few near diagnoses")
        choices = sorted([name, *others], key=lambda text: order_key(seed, f"{identifier}:{text}"))
        record |= {"choices": choices, "answer": name}
    return record


def _near(code, identifier, name, parents, seed, wanted) -> list[str]:
    """Diagnoses under the same parent, else under its parent, within the block; none above or below."""
    above, chosen, ancestor = {code}, [], parents.get(code)
    while ancestor is not None and len(chosen) < wanted:
        above.add(ancestor)
        inner = set(code.iter("diag"))
        pool = [d for d in ancestor.iter("diag") if d not in above and d not in inner]
        names = {d.findtext("desc").strip() for d in pool} - {name, *chosen}
        names = sorted(names, key=lambda text: order_key(seed, f"{identifier}:{text}"))
        chosen += names[: wanted - len(chosen)]
        ancestor = parents.get(ancestor)
    return chosen
