"""The Workflow Run RO-Crate of an archive: workflow, config, data sets with their licences, results, one run.

Profile: Workflow Run Crate 0.5 (process, workflow, workflow run), which builds on Workflow RO-Crate 1.0. Made
with ``rocrate``; nothing in it depends on when it is made.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from .layout import LAID, LICENCES, MANIFEST, METADATA

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
}
RO_CRATE = "https://w3id.org/ro/crate/1.1"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
BIOSCHEMAS = "https://bioschemas.org/profiles"
PROFILES[WORKFLOW_CRATE] = ("Workflow RO-Crate", "1.0")
APACHE = "https://spdx.org/licenses/Apache-2.0"
FORMATS = {".csv": "text/csv", ".json": "application/json", ".pdf": "application/pdf", ".png": "image/png"}
FORMATS |= {
    ".html": "text/html",
    ".yaml": "application/yaml",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
}
RESULTS = ("results/tables/", "results/figures/", "results/report", "results/verdicts")


def metadata(names, details: dict, domains: dict, citation: dict) -> dict:
    """ro-crate-metadata.json as a value.

    names: paths in the archive; details: archive.json; domains: domain -> {sources, licences};
    citation: CITATION.cff.
    """
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    authors = [crate.add(_author(crate, author, n)) for n, author in enumerate(citation["authors"])]
    root = crate.root_dataset
    root["datePublished"] = _when(details["ended"])
    root["name"] = f"{citation['title']}: a finished study"
    root["description"] = " ".join(citation["abstract"].split())
    root["author"], root["publisher"] = authors, authors[0]
    crate.license = crate.add(
        _thing(crate, APACHE, "CreativeWork", name=citation["license"], description="of the code")
    )
    root["conformsTo"] = [
        crate.add(_thing(crate, uri, "CreativeWork", name=name, version=version))
        for uri, (name, version) in PROFILES.items()
    ]
    workflow = _workflow(crate, citation, details, authors)
    configs = [
        _config(crate, name, workflow) for name in ["config.yaml", *details["run"]["configfiles"], LAID]
    ]
    data = [_data_set(crate, domain, entry) for domain, entry in domains.items()]
    results = [
        _file(crate, name) for name in sorted(names) if name.startswith(RESULTS) and not _sidecar(name)
    ]
    for name in (METADATA, MANIFEST, LICENCES, "CITATION.cff", "README.md", "LICENSE"):
        if name in names or name in (METADATA, MANIFEST):
            _file(crate, name)
    if readme := crate.dereference("README.md"):
        readme["about"] = root
    _run(crate, details, workflow, authors[0], [*configs, *data], results)
    crate.metadata["conformsTo"] = [{"@id": uri} for uri in (RO_CRATE, WORKFLOW_CRATE)]
    return _settled(crate.metadata.generate(), root["datePublished"])


def _author(crate, author: dict, number: int):
    """Of CITATION.cff: who has a `name` is a group, the others are people."""
    kind = "Organization" if "name" in author else "Person"
    return _thing(crate, author.get("orcid") or f"#author-{number}", kind, name=_name(author))


def _workflow(crate, citation, metadata, authors):
    workflow = crate.add_workflow(dest_path="Snakefile", main=True, lang="snakemake", lang_version="9.27")
    workflow["encodingFormat"] = "text/plain"
    workflow["name"], workflow["version"] = (
        citation["title"],
        metadata["code"]["commit"] or citation["version"],
    )
    workflow["license"], workflow["creator"] = crate.license, authors
    workflow["description"] = "Makes every table and figure of the study from its config."
    workflow["conformsTo"] = crate.add(
        _thing(
            crate,
            f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE",
            "CreativeWork",
            name="ComputationalWorkflow",
        )
    )
    workflow["input"] = [_parameter(crate, "config", "what is studied", "application/yaml")]
    workflow["output"] = [_parameter(crate, "results", "tables and figures", "text/csv")]
    return workflow


def _parameter(crate, name: str, description: str, media: str):
    conforms = crate.add(
        _thing(crate, f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE", "CreativeWork", name="FormalParameter")
    )
    return crate.add(
        _thing(
            crate,
            f"#parameter-{name}",
            "FormalParameter",
            additionalType="File",
            name=name,
            description=description,
            encodingFormat=media,
            workExample=[],
            conformsTo=conforms,
        )
    )


def _config(crate, name: str, workflow):
    parameter = workflow["input"][0] if isinstance(workflow["input"], list) else workflow["input"]
    file = _file(crate, name)
    file["exampleOfWork"] = parameter
    parameter.append_to("workExample", file)
    return file


def _data_set(crate, domain: str, entry: dict):
    """A domain's documents: an entity of the run, also where the archive left some of its files out."""
    licences = [
        crate.add(
            _thing(crate, f"#licence-{_slug(name)}", "CreativeWork", name=name, description="of documents")
        )
        for name in sorted(entry["licences"])
    ]
    sources = ", ".join(
        f"{name} ({', '.join(metadata['licences'])})" for name, metadata in entry["sources"].items()
    )
    return crate.add_dataset(
        dest_path=f"results/corpora/{domain}/",
        properties={
            "name": f"documents of the domain {domain}",
            "description": f"Sources: {sources}.",
            "license": licences,
        },
    )


def _file(crate, name: str):
    media = FORMATS.get(Path(name).suffix, "text/plain")
    return crate.dereference(name) or crate.add_file(
        dest_path=name, properties={"name": Path(name).name, "encodingFormat": media}
    )


def _run(crate, metadata, workflow, agent, objects, results) -> None:
    parameter = workflow["output"][0] if isinstance(workflow["output"], list) else workflow["output"]
    for file in results:
        file["exampleOfWork"] = parameter
        parameter.append_to("workExample", file)
    action = crate.add_action(
        workflow,
        identifier="#run",
        object=objects,
        result=results,
        properties={
            "name": "The run of the study",
            "description": f"Snakemake, code at commit {metadata['code']['commit']}",
            "startTime": _when(metadata["started"]),
            "endTime": _when(metadata["ended"]),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    action["agent"] = agent
    crate.root_dataset["mentions"] = [action]


def _thing(crate, identifier: str, kind: str, **properties):
    from rocrate.model.contextentity import ContextEntity

    return ContextEntity(crate, identifier, properties={"@type": kind, **properties})


def _name(author: dict) -> str:
    return author.get("name") or " ".join(
        filter(None, [author.get("given-names"), author.get("family-names")])
    )


def _slug(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text).strip("-")


def _sidecar(name: str) -> bool:
    return name.endswith((".csv-metadata.json", ".provenance.json"))


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _settled(value: dict, moment: str) -> dict:
    """In one order, lists of one taken apart, no time but the run's: rocrate dates some entities with now."""
    dated = ("datePublished", "dateModified", "dateCreated", "sdDatePublished")
    for entity in value["@graph"]:
        entity |= {key: moment for key in dated if key in entity}
        single = {key: held[0] for key, held in entity.items() if isinstance(held, list) and len(held) == 1}
        entity |= {key: held for key, held in single.items() if key != "@type"}
    value["@graph"].sort(key=lambda entity: entity["@id"])
    return json.loads(json.dumps(value, sort_keys=True))
