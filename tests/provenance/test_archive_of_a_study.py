"""A small study whole: archived twice to the same bytes, refused unfinished, restored elsewhere, edited.

One nano model, one domain of local documents, one stage, one measurement: 17 jobs.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import studies
import yaml

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import record
from implicit_sparsity.provenance.archiving import readiness, reading
from implicit_sparsity.storage.files import read_json

ROOT = Path(__file__).parents[2]
CONFIG = "mine.yaml"
CHECKOUT = r"[0-9a-f]{40}(-dirty)?"  # a commit, and that tracked files were changed since
NO_NETWORK = "https://w3id.org/ro/crate/1.1/context"


def config() -> dict:
    """Of the study's config everything off but one domain, one method, one probe and two figures."""
    study = yaml.safe_load((ROOT / "config.yaml").read_text())
    nano = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())["models"]["nano_dense"]
    off = {
        key: dict.fromkeys(study[key], False) for key in ("models", "domains", "probes", "figures", "methods")
    }
    fields = {"prompt": "question", "completion": "answer"}
    own = {"loader": "jsonl", "path": "data/own.jsonl", "fields": fields, "licence": "CC0-1.0"}
    measured = {"activations": {"tokens": 32, "top_k": [4], "batch_tokens": 256, "controls": []}}
    return {
        "models": off["models"] | {"nano": nano | {"pretraining": nano["pretraining"] | {"steps": 2}}},
        "domains": off["domains"] | {"sums": {"sources": {"own": own}}},
        "reference": False,
        "orders": {"forward": ["sums"]},
        "splits": {"train": 12, "probe": 6, "select": 4, "eval": 4},
        "tokens": {"max_length": 48, "min_completion": 8},
        "training": {"steps": 2, "batch_size": 2, "warmup": 1},
        "methods": off["methods"] | {"lora": {"rank": 2}},
        "probes": off["probes"] | measured | {"activation_sparsity": {}},
        "evals": {
            "documents": 3,
            "choice_items": 2,
            "generate": [],
            "generation_items": 1,
            "max_new_tokens": 4,
        },
        "figures": off["figures"] | {"sparsity_by_layer": {}, "loss_curves": {}},
        "archive": {"path": "archives/study.tar.gz", "weights": True, "activations": True},
    }


def snakemake(folder, *arguments, check=True):
    return studies.reported(studies.snakemake(folder, "--configfile", CONFIG, *arguments), check)


def module(name, *arguments):
    """``python -m implicit_sparsity.provenance.<name>``, as the Makefile calls it."""
    command = [sys.executable, "-m", f"implicit_sparsity.provenance.{name}", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def planned(folder) -> set:
    return set(re.findall(r"^(?:local)?rule (\w+):$", snakemake(folder, "-n"), re.M))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study in a checkout of its own."""
    folder = tmp_path_factory.mktemp("study") / "repository"
    studies.copy_repository(folder, without=("tests/", "docs/", "benchmarks/"))
    (folder / CONFIG).write_text(yaml.safe_dump(config()))
    (folder / "data").mkdir()
    lines = [
        {"question": f"What is {n} + {n * n}?", "answer": f"It is {n + n * n}, word {n % 7}."}
        for n in range(60)
    ]
    (folder / "data/own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        who = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
    snakemake(folder, "-c2", "all")
    return folder


@pytest.fixture(scope="module")
def archive(study, tmp_path_factory):
    printed = snakemake(study, "-c1", "archive")
    assert "archives/study.tar.gz: " in printed and "with changes" not in printed
    place = tmp_path_factory.mktemp("elsewhere")
    return shutil.copy(study / "archives/study.tar.gz", place / "kept.tar.gz")


@pytest.fixture(scope="module")
def restored(archive):
    """On another machine: another folder, and no checkout."""
    folder = Path(archive).parent / "another" / "place"
    done = module("archiving", archive, folder)
    assert done.returncode == 0, done.stderr
    assert "every checksum right" in done.stdout and planned(folder) == set()
    return folder


def test_second_archive_has_the_same_bytes(study, archive):
    """A leftover in results/ and a README changed since change nothing but what they are."""
    (study / "results/tables/leftover.csv").write_text("of no job\n")
    snakemake(study, "-c1", "archive")
    assert (study / "archives/study.tar.gz").read_bytes() == Path(archive).read_bytes()


def test_every_artifact_says_what_it_is(study):
    """All outputs of all jobs, but for the benchmark times and logs."""
    results = study / "results"
    made = [p for room in ("tables", "figures") for p in (results / room).glob("*.*[fgv]")]  # csv, pdf, png
    patterns = ("models/nano", "tokens/nano/*", "adapters/nano/*", "activations/nano/base/*.zarr", "plan/*")
    patterns += ("evals/nano/[!.]*/*.json", "corpora/*/splits", "corpora/*/sources/*")
    made += [path for pattern in patterns for path in results.glob(pattern)]
    made = [path for path in made if path.stem != "leftover"]
    assert len(made) > 20
    for path in made:
        reported = record.read(path)
        assert reported is not None, path
        assert len(reported["code"]) == 64 and re.fullmatch(CHECKOUT, reported["made"]["commit"]), path
        assert (
            reported["made"]["device"]
            and "python" in reported["versions"]
            and reported["command"].startswith("snakemake results/")
        )
        assert reported["data"].get("sums/own") or reported["rule"] == "preflight", path
    revision = read_json(study / "results/models/nano/manifest.json")["revision"]
    assert record.read(study / "results/figures/loss_curves.pdf")["models"] == {"nano": revision}


def test_explain_goes_from_a_figure_to_the_corpus(study):
    done = module("explaining", study / "results/figures/loss_curves.pdf")
    assert done.returncode == 0, done.stderr
    order = [
        "results/figures/loss_curves.pdf",
        "results/tables/learning_curves.csv",
        "results/adapters/nano/lora.forward.seed0.stage1",
        "method lora, order forward, seed 0, stage 1",
        "model nano @ scratch-",
        "results/corpora/sums/splits",
        "data set own of domain sums: 60 documents, licence CC0-1.0",
        "data/own.jsonl",
        "results/tokens/nano/sums",
    ]
    places = [done.stdout.find(text) for text in order]
    assert -1 not in places and places == sorted(places), dict(zip(order, places))
    assert "MADE AGAIN" not in done.stdout and '"rank": 2' in done.stdout


def test_unfinished_and_stale_studies_are_refused(study, archive, monkeypatch):
    before = (study / "archives/study.tar.gz").read_bytes()
    table, text, status = (
        study / "results/tables/metrics.csv",
        (study / CONFIG).read_text(),
        (study / CONFIG).stat(),
    )
    table.rename(study / "metrics.kept")
    printed = snakemake(study, "-c1", "archive", check=False)
    (study / "metrics.kept").rename(table)
    assert (
        "error: archive: the study is not finished" in printed
        and "continual_metrics (Missing output" in printed
    )
    assert (study / "archives/study.tar.gz").read_bytes() == before
    (study / CONFIG).write_text(text.replace("tokens: 32", "tokens: 31"))
    monkeypatch.chdir(study)
    with pytest.raises(
        InputError, match=r"measure_domain activations nano base sums \(.*Params have changed"
    ):
        readiness.finished({"configfiles": [CONFIG], "config": {}}, "Snakefile")
    (study / CONFIG).write_text(text)
    os.utime(study / CONFIG, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_archive_holds_what_it_should(archive):
    result = reading.survey(archive)
    names = set(result.sums)
    assert {"Snakefile", "config.yaml", CONFIG, "config_as_laid.yaml", "CITATION.cff", "LICENSE"} <= names
    assert {"envs/compute.lock", "DATA_LICENCES.md", "ro-crate-metadata.json", "data/own.jsonl"} <= names
    assert {"results/figures/loss_curves.pdf", "results/tables/scores.csv-metadata.json"} <= names
    assert any(name.startswith(".snakemake/metadata/") for name in names)
    assert not [
        name for name in names if name.startswith((".venv", "archives", ".git/")) or "leftover" in name
    ]
    assert len(result.metadata["code"]["commit"]) == 40 and not result.metadata["code"]["dirty"]
    assert result.metadata["licences"] == {"sums": {"CC0-1.0": 32}} and result.metadata["left_out"] == []


def test_a_config_edit_reruns_what_it_should(restored):
    text = (restored / CONFIG).read_text()
    (restored / CONFIG).write_text(text.replace("rank: 2", "rank: 3"))
    after = {
        "evaluate_checkpoint",
        "collect_scores",
        "collect_stages",
        "continual_metrics",
        "compare_methods",
        "judge_claims",
        "write_chapter",
        "write_latex",
    }
    result = planned(restored) - {"all", "preflight"}
    (restored / CONFIG).write_text(text)
    assert result == {"train_adapter", "draw_figure"} | after
    assert planned(restored) == set()


def test_a_restored_study_is_explained_and_archived_again(restored, archive):
    assert "data/own.jsonl" in module("explaining", restored / "results/figures/loss_curves.png").stdout
    snakemake(restored, "-c1", "archive")
    assert (restored / "archives/study.tar.gz").read_bytes() == Path(archive).read_bytes()


def test_without_weights_what_is_left_out_is_made_again_only_when_needed(study, archive, tmp_path):
    given = "archive={weights: false, activations: false, path: archives/small.tar}"
    snakemake(study, "-c1", "archive", "--config", given)
    metadata = reading.survey(study / "archives/small.tar").metadata
    assert len(metadata["left_out"]) == 3 and metadata["bytes"] < reading.survey(archive).metadata["bytes"]
    done = module("archiving", study / "archives/small.tar", tmp_path / "small")
    assert done.returncode == 0 and planned(tmp_path / "small") == set(), done.stderr
    assert not (tmp_path / "small/results/models").exists()
    reported = module("explaining", tmp_path / "small/results/tables/activation_sparsity.csv").stdout
    assert "results/models/nano (left out of the archive)" in reported and "model nano @ scratch-" in reported


def test_ro_crate_is_accepted(restored, monkeypatch, tmp_path):
    """By the validator's checks. The network is asked for a JSON-LD context alone: rocrate has it as 1.3,
    and here the terms of workflows are put back to those of 1.1."""
    import requests
    import rocrate
    import urllib3
    from rocrate_validator import models, services

    context = (Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text()
    for name in ("input", "output"):
        context = context.replace(
            f"bioschemas.org/terms/{name}", f"bioschemas.org/ComputationalWorkflow#{name}"
        )
    context = context.replace("bioschemas.org/terms/", "bioschemas.org/").encode()

    def send(adapter, request, **_):
        assert request.url == NO_NETWORK
        answer = {
            "status": 200,
            "headers": {"Content-Type": "application/ld+json"},
            "preload_content": False,
        }
        response = urllib3.HTTPResponse(body=io.BytesIO(context), request_url=request.url, **answer)
        return adapter.build_response(request, response)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)

    def issues(level):
        settings = services.ValidationSettings(
            rocrate_uri=str(restored),
            profile_identifier="workflow-run-crate",
            requirement_severity=level,
            cache_path=str(tmp_path / "cache"),
        )
        return [issue.message for issue in services.validate(settings).get_issues()]

    assert issues(models.Severity.REQUIRED) == []
    graph = restored / "ro-crate-metadata.json"
    text = graph.read_text()
    graph.write_text(text.replace('"CreateAction"', '"Action"'))
    broken = issues(models.Severity.REQUIRED)
    graph.write_text(text)
    assert broken, "a crate without a run is not accepted"
