"""Planted words in the original layout: one meaning, and a word that a person knows."""

import gzip

from corpora_samples import plant_wheel

from implicit_sparsity.corpora.sources import wordnet_glosses as glosses

GLOSSES = (
    "elbow\ta joint | to push\nknee\ta joint of the leg; it bends\npatella\ta bone\nankle\tthe joint above\n"
)
GRADED = "ankle\t60\nelbow\t10\nknee\t10\n"


def test_known_words_of_one_meaning(monkeypatch, tmp_path):
    texts = {"glosses.txt.gz": GLOSSES, "graded_words.txt.gz": GRADED}
    files = {f"{glosses.FOLDER}/{name}": gzip.compress(text.encode()) for name, text in texts.items()}
    plant_wheel(monkeypatch, tmp_path, glosses.PACKAGE, files)
    (made,) = glosses.documents(None, 0)
    assert made["prompt"] == 'What does the word "knee" mean?' and made["id"] == made["group"] == "knee"
    assert made["completion"] == "a joint of the leg; it bends"
    assert {record["id"] for record in glosses.documents(None, 0, grade=60)} == {"knee", "ankle"}


def test_the_wheel_has_thousands():
    assert len(list(glosses.documents(5000, 0))) == 5000
