"""Diseases of the UniProt knowledgebase: a name -> the first sentences of its description.

    id          "DI-01518"                   group  "MeSH D005645" (else the name up to a comma or number)
    prompt      "What is the disease Fucosidosis?"
    completion  "An autosomal recessive lysosomal storage disease characterized by accumulation of ..."

Read from the wheel of gnuhealth-genetics-uniprot (wheels.py), which is GPL-3.0-or-later; its README gives the
text as that of the UniProt Consortium under CC BY 4.0. Diseases under one MeSH heading share sentences, and
are held out together. A description often repeats its name: losses are of use, recognising the text less so.
"""

import re
from collections.abc import Iterator
from io import BytesIO

from implicit_sparsity.corpora import wheels
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within

OPTIONS = {"lead_chars": {"low": 0}}
PACKAGE = "gnuhealth-genetics-uniprot"
FILE = "trytond/modules/health_genetics_uniprot/data/protein_diseases.xml"
LICENCE = "CC BY 4.0 (UniProt Consortium)"
NUMBER = re.compile(r"(,.*| (type )?([0-9]+[A-Za-z]*|[A-Z]{1,2}[0-9]*|[IVX]+))+$")


def versions() -> dict[str, str]:
    return {PACKAGE: wheels.version(PACKAGE)}


def documents(
    limit: int | None, seed: int, lead_chars: int = 280, max_chars: int | None = None
) -> Iterator[dict | Dropped]:
    """Diseases with whole sentences up to ``lead_chars`` of their description, and the first in any case."""
    records = (_record(fields, lead_chars) for fields in _diseases(wheels.member(PACKAGE, FILE)))
    yield from sample(within(records, max_chars), limit, seed)


def _diseases(xml: bytes) -> Iterator[dict[str, str]]:
    """The fields of each record by name."""
    import xml.etree.ElementTree as ElementTree  # of a wheel whose checksum is pinned: trusted

    for record in ElementTree.parse(BytesIO(xml)).getroot().iter("record"):
        yield {field.get("name"): " ".join((field.text or "").split()) for field in record.iter("field")}


def _record(fields: dict[str, str], lead_chars: int) -> dict | Dropped:
    if not fields["description"]:
        return Dropped("no description")
    name = fields["disease_name"]
    heading = re.search(r"MeSH:(\w+)", fields["xrefs"])
    return {
        "id": fields["name"],
        "group": f"MeSH {heading[1]}" if heading else NUMBER.sub("", name).lower() or name,
        "prompt": f"What is the disease {name}?",
        "completion": lead(fields["description"], lead_chars),
        "licence": LICENCE,
    }


def lead(text: str, most: int) -> str:
    """Whole sentences from the beginning, at most ``most`` characters; the first however long it is."""
    first, *others = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
    for sentence in others:
        if len(first) + 1 + len(sentence) > most:
            break
        first = f"{first} {sentence}"
    return first
