"""A planted country in the original layout: names, questions, tags."""

from implicit_sparsity.corpora.sources import world_factbook as factbook

ENTRY = {
    "Geography": {
        "Climate": {
            "text": "<strong>coast:</strong> wet &amp; cool<br><br>inland:\xa0dry and cool",
            "note": "x",
        },
        "Terrain": {"text": "flat"},
        "Location": "not a field",
    },
    "Government": {
        "Country name": {
            "conventional long form": {"text": "Republic of Elbonia"},
            "conventional short form": {"text": "Elbonia"},
            "etymology": {"text": "named after the elbow of its river"},
        }
    },
}


def test_one_question_a_field_of_a_country():
    climate, name = factbook._of_country("eb", ENTRY, 20)
    assert climate == {
        "id": "eb Climate",
        "group": "Elbonia",
        "prompt": "What is the climate of Elbonia?",
        "completion": "coast: wet & cool inland: dry and cool",
        "licence": factbook.LICENCE,
    }
    assert name["prompt"] == "Where does the name of Elbonia come from?"
    assert len(list(factbook._of_country("eb", ENTRY, 4))) == 3


def test_a_country_without_a_short_name_has_its_long_one():
    names = ENTRY["Government"]["Country name"]
    entry = ENTRY | {"Government": {"Country name": names | {"conventional short form": {"text": "none"}}}}
    assert {record["group"] for record in factbook._of_country("eb", entry, 4)} == {"Republic of Elbonia"}
    assert list(factbook._of_country("eb", {"Geography": ENTRY["Geography"]}, 4)) == []


def test_the_package_has_all_questions_of_most_countries():
    made = list(factbook.documents(None, 0))
    assert len({record["group"] for record in made}) > 200
    assert len({record["id"] for record in made}) == len(made)
    assert not any(
        part in record["completion"] for record in made for part in ("<br", "</", "&amp;", "&nbsp")
    )
    asked = {record["id"].partition(" ")[2] for record in made}
    assert asked == {place[1] for place in factbook.FIELDS}
