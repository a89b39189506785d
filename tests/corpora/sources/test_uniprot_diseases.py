"""Planted diseases in the original layout: names, sentences that are taken, groups."""

import pytest
from corpora_samples import plant_wheel

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import uniprot_diseases as uniprot

XML = """<?xml version="1.0" encoding="utf-8" ?>
<tryton>
<data grouped="1">
<record model="gnuhealth.protein.disease" id="DI-1">
	<field name="name">DI-1</field>
	<field name="disease_name">Grey elbow syndrome 2</field>
	<field name="xrefs">MIM:1,MedGen:C2,MeSH:D000003,MeSH:D9</field>
	<field name="description">A disorder of the elbow, e.g. of its colour. It &amp; its like are rare. It is
  harmless.</field>
</record>
<record model="gnuhealth.protein.disease" id="DI-2">
	<field name="name">DI-2</field>
	<field name="disease_name">Blue knee, autosomal recessive, 7</field>
	<field name="xrefs">MIM:1</field>
	<field name="description"></field>
</record>
</data>
</tryton>
"""


def test_a_name_asks_for_the_first_sentences(monkeypatch, tmp_path):
    plant_wheel(monkeypatch, tmp_path, uniprot.PACKAGE, {uniprot.FILE: XML.encode()})
    dropped, made = uniprot.documents(None, 0, lead_chars=70)
    assert dropped == Dropped("no description")
    assert made == {
        "id": "DI-1",
        "group": "MeSH D000003",
        "prompt": "What is the disease Grey elbow syndrome 2?",
        "completion": "A disorder of the elbow, e.g. of its colour. It & its like are rare.",
        "licence": "CC BY 4.0 (UniProt Consortium)",
    }
    assert uniprot.versions() == {uniprot.PACKAGE: "1"}


@pytest.mark.parametrize(
    ("most", "taken"), [(1, "One is."), (15, "One is."), (16, "One is. Two are."), (26, "One is. Two are.")]
)
def test_sentences_are_whole(most, taken):
    assert uniprot.lead("One is. Two are. And three.", most) == taken


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Blue knee, autosomal recessive, 7", "blue knee"),
        ("Blue knee 12B", "blue knee"),
        ("Blue knee type 3", "blue knee"),
        ("Blue knee IV", "blue knee"),
        ("Blue knee", "blue knee"),
    ],
)
def test_without_a_heading_the_family_is_the_group(name, family):
    fields = {"name": "DI-2", "disease_name": name, "xrefs": "MIM:1", "description": "A."}
    assert uniprot._record(fields, 9)["group"] == family


def test_the_package_has_thousands_of_diseases():
    made = list(uniprot.documents(300, 0, max_chars=300))
    records = [record for record in made if isinstance(record, dict)]
    assert len(records) == 300 and len({record["group"] for record in records}) > 100
    assert all(len(record["prompt"]) + len(record["completion"]) <= 300 for record in records)
