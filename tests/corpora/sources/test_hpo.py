"""Terms of an ontology planted: what is read of them, the branch they are in, the choices near them."""

import pytest

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import hpo

# root -> organs -> kidney (cyst, stone, size -> (small, large)), heart (murmur)
TERMS = {
    "HP:0": ("All", "", []),
    "HP:1": ("Organs", "", ["HP:0"]),
    "HP:2": ("Kidney", "Of the kidney.", ["HP:1"]),
    "HP:3": ("Heart", "Of the heart.", ["HP:1"]),
    "HP:4": ("Cyst", "A sac.", ["HP:2"]),
    "HP:5": ("Stone", "A stone.", ["HP:2", "HP:3"]),
    "HP:6": ("Size", "A size.", ["HP:2"]),
    "HP:7": ("Small", "Small.", ["HP:6"]),
    "HP:8": ("Large", "Large.", ["HP:6"]),
    "HP:9": ("Murmur", "A sound.", ["HP:3"]),
}
OBO = r"""format-version: 1.2
data-version: hp/releases/2025-01-16

[Term]
id: HP:0000107
name: Renal cyst
alt_id: HP:0000108
def: "A \"fluid filled\" sac\, in the kidney." [HPO:probinson]
synonym: "Kidney cyst" EXACT []
is_a: HP:0012210 ! Abnormal renal morphology
is_a: HP:0000077 {xref="x"} ! Abnormality of the kidney

[Term]
id: HP:0000057
name: obsolete Clitoral hypertrophy
def: "Old." []
is_obsolete: true

[Term]
id: HP:0012210
name: Abnormal renal morphology

[Typedef]
id: part_of
name: part of
def: "Not of the term above." []
"""


@pytest.fixture
def terms():
    return {
        name: {"name": text, "definition": definition, "parents": parents}
        for name, (text, definition, parents) in TERMS.items()
    }


@pytest.fixture
def children(terms):
    """By first parents."""
    result = {}
    for name, term in terms.items():
        for parent in term["parents"][:1]:
            result.setdefault(parent, []).append(name)
    return result


def test_an_obo_file_is_read_without_what_is_obsolete():
    parents = ["HP:0012210", "HP:0000077"]
    definition = 'A "fluid filled" sac, in the kidney.'
    assert hpo._terms(OBO) == {
        "HP:0000107": {"name": "Renal cyst", "definition": definition, "parents": parents},
        "HP:0012210": {"name": "Abnormal renal morphology", "definition": "", "parents": []},
    }


@pytest.mark.parametrize(
    ("depth", "group"), [(0, "HP:0 All"), (2, "HP:2 Kidney"), (3, "HP:6 Size"), (9, "HP:7 Small")]
)
def test_the_group_is_the_ancestor_so_far_below_the_root(terms, children, depth, group):
    made = hpo._record("HP:7", terms, children, 0, 0, depth)
    assert made["group"] == group and "choices" not in made
    assert (made["prompt"], made["completion"]) == (f"{hpo.QUESTION}Small.", "Small")


def test_choices_are_siblings_then_cousins_and_none_above_or_below(terms, children):
    near = {n: set(hpo._near("HP:6", hpo._path("HP:6", terms), terms, children, 0, n)) for n in range(4)}
    assert near[0] == set() and near[2] == {"Cyst", "Stone"} and len(near[1]) == 1
    assert near[3] == {"Cyst", "Stone", "Heart"} or near[3] == {"Cyst", "Stone", "Murmur"}
    everything = set(hpo._near("HP:6", hpo._path("HP:6", terms), terms, children, 0, 99))
    assert everything == {"Cyst", "Stone", "Heart", "Murmur"}, "no Kidney, no Small and Large"


def test_the_right_choice_is_one_of_as_many_as_asked_for(terms, children):
    places = set()
    for seed in range(20):
        made = hpo._record("HP:4", terms, children, seed, 3, 2)
        assert set(made["choices"]) == {"Cyst", "Stone", "Size"} and made["answer"] == "Cyst"
        places.add(made["choices"].index("Cyst"))
    assert places == {0, 1, 2}
    assert hpo._record("HP:4", terms, children, 0, 9, 2) == Dropped("too few near terms")


def test_a_name_that_two_terms_have_is_one_choice(terms, children):
    terms["HP:5"]["name"] = "Size"
    terms["HP:9"]["name"] = "Cyst"  # that of the term itself
    near = hpo._near("HP:4", hpo._path("HP:4", terms), terms, children, 0, 99)
    assert sorted(near) == ["Heart", "Size"]
