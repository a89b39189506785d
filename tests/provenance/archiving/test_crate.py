"""The RO-Crate of a planted study: its run, its data with their licences, its results, and no other time."""

import json

import pytest

from implicit_sparsity.provenance.archiving import crate

CITATION = {
    "title": "A study",
    "abstract": "Of\n  something.\n",
    "version": "1.0",
    "license": "Apache-2.0",
    "authors": [
        {"given-names": "Ada", "family-names": "Byron", "orcid": "https://orcid.org/0000-0001-2345-6789"},
        {"name": "The group"},
        {"family-names": "Noether"},
    ],
}
NAMES = [
    "Snakefile",
    "config.yaml",
    "mine.yaml",
    "README.md",
    "results/tables/scores.csv",
    "results/tables/scores.csv-metadata.json",
    "results/figures/a.pdf",
    "results/figures/a.png",
    "results/verdicts.json",
    "results/report.html",
    "results/models/nano/model.safetensors",
    "results/tables/x.bin",
    "results/tables/x.bin.provenance.json",
]
RESULTS = {  # sidecars are parts of what they lie beside, and a model is what the run used on its way
    "results/tables/scores.csv": "text/csv",
    "results/figures/a.pdf": "application/pdf",
    "results/figures/a.png": "image/png",
    "results/verdicts.json": "application/json",
    "results/report.html": "text/html",
    "results/tables/x.bin": "text/plain",
}
DETAILS = {
    "started": 0,
    "ended": 86_400,
    "code": {"commit": "c" * 40},
    "run": {"configfiles": ["mine.yaml"], "config": {}},
}
DOMAINS = {
    "math": {
        "licences": {"MIT": 40, "CC BY 4.0": 2},
        "sources": {"gsm": {"licences": ["MIT"]}, "own": {"licences": ["CC BY 4.0", "MIT"]}},
    },
    "code": {"licences": {"MIT": 7}, "sources": {}},
}
START, END = "1970-01-01T00:00:00+00:00", "1970-01-02T00:00:00+00:00"


@pytest.fixture(scope="module")
def graph():
    made = crate.metadata(NAMES, DETAILS, DOMAINS, CITATION)
    entities = {entity["@id"]: entity for entity in made["@graph"]}
    assert len(entities) == len(made["@graph"]), "an id twice"
    return entities


def ids(value) -> set:
    return {entry["@id"] for entry in (value if isinstance(value, list) else [value])}


def test_the_study_is_named_and_dated_by_its_run(graph):
    root = graph["./"]
    assert (root["name"], root["description"]) == ("A study: a finished study", "Of something.")
    assert root["datePublished"] == END and ids(root["license"]) == {crate.APACHE}
    assert ids(root["conformsTo"]) == set(crate.PROFILES) and ids(root["mentions"]) == {"#run"}
    assert graph["README.md"]["about"] == {"@id": "./"}
    dates = {value for entity in graph.values() for key, value in entity.items() if key.startswith("date")}
    assert dates == {END}, "nothing is dated with the time at which the archive is made"


def test_authors_are_people_and_groups_by_their_orcid_or_a_number(graph):
    authors = {name: graph[name] for name in ids(graph["./"]["author"])}
    ada = CITATION["authors"][0]["orcid"]
    assert {name: (who["@type"], who["name"]) for name, who in authors.items()} == {
        ada: ("Person", "Ada Byron"),
        "#author-1": ("Organization", "The group"),
        "#author-2": ("Person", "Noether"),
    }
    assert graph["./"]["publisher"] == graph["#run"]["agent"] == {"@id": ada}


def test_the_run_takes_configs_and_data_and_gives_results(graph):
    run = graph["#run"]
    assert (run["@type"], run["startTime"], run["endTime"]) == ("CreateAction", START, END)
    assert run["instrument"] == {"@id": "Snakefile"} and "c" * 40 in run["description"]
    configs = {"config.yaml", "mine.yaml", "config_as_laid.yaml"}
    assert ids(run["object"]) == configs | {"results/corpora/math/", "results/corpora/code/"}
    results = set(RESULTS)
    assert ids(run["result"]) == results
    assert ids(graph["#parameter-results"]["workExample"]) == results
    assert ids(graph["#parameter-config"]["workExample"]) == configs


def test_files_say_their_format_by_their_ending(graph):
    assert {name: graph[name]["encodingFormat"] for name in RESULTS} == RESULTS
    assert graph["mine.yaml"]["encodingFormat"] == "application/yaml"


def test_data_sets_have_the_licences_of_their_documents(graph):
    math, code = graph["results/corpora/math/"], graph["results/corpora/code/"]
    assert ids(math["license"]) == {"#licence-MIT", "#licence-CC-BY-4-0"}
    assert code["license"] == {"@id": "#licence-MIT"} and graph["#licence-CC-BY-4-0"]["name"] == "CC BY 4.0"
    assert math["description"] == "Sources: gsm (MIT), own (CC BY 4.0, MIT)."


def test_files_that_are_not_there_are_not_named(graph):
    assert "LICENSE" not in graph and "CITATION.cff" not in graph
    assert {"archive.json", "manifest-sha256.txt"} <= set(graph), "which are made after it"


def test_the_same_study_has_the_same_crate_whatever_the_order_of_its_files():
    first, second = (
        json.dumps(crate.metadata(names, DETAILS, DOMAINS, CITATION)) for names in (NAMES, NAMES[::-1])
    )
    assert first == second


def test_lists_of_one_are_taken_apart_but_for_types():
    file = {"@id": "b", "@type": ["File"], "x": [1], "y": [1, 2]}
    made = crate._settled({"@graph": [file, {"@id": "a", "dateCreated": "now"}]}, "then")
    file = {"@id": "b", "@type": ["File"], "x": 1, "y": [1, 2]}
    assert made == {"@graph": [{"@id": "a", "dateCreated": "then"}, file]}
