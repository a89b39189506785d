"""A planted block of diagnoses: which have a question, what their group is called, the choices near them."""

from xml.etree import ElementTree

import pytest

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import icd10

BLOCK = """
<section id="A00-A09">
  <desc>Intestinal infectious diseases (A00-A09)</desc>
  <diag><name>A00</name><desc>Cholera</desc>
    <diag><name>A00.0</name><desc>Cholera, classical</desc>
      <inclusionTerm><note>Classical cholera </note><note>Asiatic cholera</note></inclusionTerm></diag>
    <diag><name>A00.1</name><desc>Cholera, eltor</desc>
      <inclusionTerm><note>CHOLERA, ELTOR</note></inclusionTerm></diag>
    <diag><name>A00.9</name><desc>Cholera, unspecified</desc></diag>
  </diag>
  <diag><name>A01</name><desc>Typhoid</desc>
    <inclusionTerm><note>Enteric fever</note></inclusionTerm>
    <diag><name>A01.0</name><desc>Typhoid fever</desc>
      <diag><name>A01.00</name><desc>Typhoid fever, unspecified</desc>
        <inclusionTerm><note>Fever</note></inclusionTerm></diag>
      <diag><name>A01.01</name><desc>Typhoid meningitis</desc></diag>
    </diag>
    <diag><name>A01.1</name><desc>Paratyphoid fever</desc></diag>
  </diag>
</section>
"""


def records(n_choices, seed=0):
    return list(icd10._block(ElementTree.fromstring(BLOCK), seed, n_choices))


def test_codes_with_other_names_than_their_own_are_asked_for():
    made = records(0)
    assert [(r["id"], r["prompt"].removeprefix(icd10.QUESTION), r["completion"]) for r in made] == [
        ("A00.0", "Classical cholera; Asiatic cholera", "Cholera, classical"),
        ("A01", "Enteric fever", "Typhoid"),
        ("A01.00", "Fever", "Typhoid fever, unspecified"),
    ]
    assert {r["group"] for r in made} == {"A00-A09 Intestinal infectious diseases"}
    assert not any("choices" in r for r in made)


@pytest.mark.parametrize("seed", range(5))
def test_choices_come_from_the_nearest_parent_that_has_enough(seed):
    cholera, _, unspecified = records(3, seed)
    assert set(cholera["choices"]) == {"Cholera, classical", "Cholera, eltor", "Cholera, unspecified"}
    # one sibling, then one more from under the parent's parent, which is none above
    choices = set(unspecified["choices"])
    assert choices == {"Typhoid fever, unspecified", "Typhoid meningitis", "Paratyphoid fever"}
    assert all(r["answer"] == r["completion"] for r in (cholera, unspecified))


def test_nothing_above_or_below_is_a_choice():
    cholera = {"Cholera", "Cholera, classical", "Cholera, eltor", "Cholera, unspecified"}
    assert set(records(5)[1]["choices"]) == {"Typhoid", *cholera}
    assert records(6)[1] == Dropped("too few near diagnoses"), "what lies below Typhoid is Typhoid"
    beside = {"Typhoid", "Typhoid fever", "Typhoid fever, unspecified", "Typhoid meningitis"}
    beside |= {"Paratyphoid fever"}
    assert set(records(8)[0]["choices"]) == beside | cholera - {"Cholera"}
    assert records(9)[0] == Dropped("too few near diagnoses")


def test_the_right_one_moves_with_the_seed():
    assert {records(3, seed)[0]["choices"].index("Cholera, classical") for seed in range(20)} == {0, 1, 2}
