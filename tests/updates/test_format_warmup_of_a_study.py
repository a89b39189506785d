"""A small study without its format warm-up, with it, and without again: what it adds, and what not."""

import csv

import pytest
import studies
import yaml

from implicit_sparsity.corpora import contamination, dedupe, neutral_text, sameness
from implicit_sparsity.corpora.records import read_jsonl
from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.models import loading
from implicit_sparsity.storage.files import read_json
from implicit_sparsity.updates import format_warmup

BUDGET = {"steps": 120, "documents": 64}
SHAPE = {"measured": ("activations", "activation_sparsity")}
PREPARED = {"collect_source", "split_domain", "prepare_model", "tokenize_domain"}  # none of it is made again


def switch(folder, on) -> None:
    training = {"format_warmup": BUDGET if on else False}
    overlay = studies.trimmed(**SHAPE, training=training, tokens={"max_length": 160})
    (folder / "trimmed.yaml").write_text(yaml.safe_dump(overlay))


def planned(folder) -> dict:
    """{rule: jobs} of a dry run; the plan is left out, which is checked again and reruns nothing."""
    counts = studies.planned_jobs(studies.run(folder, "-n", "all"))
    return {rule: n for rule, n in counts.items() if rule not in ("all", "total", "preflight")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(folder, what each run planned)."""
    folder = studies.copy_repository(tmp_path_factory.mktemp("warmed") / "repository")
    switch(folder, on=False)
    studies.run(folder, "-c2", "all")
    plans = {"again": planned(folder)}
    switch(folder, on=True)
    plans["on"] = planned(folder)
    studies.run(folder, "-c2", "all")
    switch(folder, on=False)
    plans["off"] = planned(folder)
    return folder, plans


def test_it_is_one_job_and_what_follows_from_the_model_runs_again_and_nothing_else(runs):
    _, plans = runs
    assert plans["again"] == {}, "`false` is as good as nothing"
    assert plans["on"].pop("warm_up_format") == 1
    assert plans["on"] == plans["off"], "and the same again without it"
    assert not PREPARED & set(plans["on"])
    assert {"train_adapter": 2, "evaluate_checkpoint": 3, "measure_domain": 2}.items() <= plans["on"].items()


def test_row_0_of_every_table_is_the_warmed_model(runs):
    folder, _ = runs
    before, after = (folder / "results/models" / name / "nano_dense" for name in ("", "format_warmup"))
    source, revision = (read_json(place / "manifest.json")["revision"] for place in (before, after))
    assert revision.startswith(f"{source}+format_warmup-") and revision.startswith("scratch-")
    for domain in ("code", "math"):
        documents = list(Tokens(folder / "results/tokens/nano_dense" / domain).split("eval"))
        cold, warm = (format_warmup.part_losses(loading.load(p), documents)["stop"] for p in (before, after))
        assert warm < cold, domain
    for path in (folder / "results/evals/nano_dense").rglob("*.json"):
        if not any(part.startswith(".") for part in path.parts):
            assert read_json(path)["study"]["revision"] == revision, path
    stage = read_json(folder / "results/adapters/nano_dense/lora.forward.seed0.stage1/stage.json")
    assert stage["study"]["revision"] == revision and "format_warmup" not in stage["training"]
    with open(folder / "results/tables/activation_sparsity.csv", encoding="utf-8") as file:
        assert {row["revision"] for row in csv.DictReader(file)} == {revision}


def test_records_go_back_to_the_model_before(runs):
    folder, _ = runs
    record = read_json(folder / "results/adapters/nano_dense/lora.forward.seed0.stage2/provenance.json")
    revision = read_json(folder / "results/models/format_warmup/nano_dense/manifest.json")["revision"]
    assert record["models"] == {"nano_dense": revision}
    assert "results/models/format_warmup/nano_dense" in record["inputs"]
    warmed = read_json(folder / "results/models/format_warmup/nano_dense/provenance.json")
    assert warmed["rule"] == "warm_up_format" and list(warmed["inputs"]) == ["results/models/nano_dense"]


def test_neutral_documents_share_nothing_with_the_corpora(runs):
    folder, _ = runs
    theirs = set()
    for path in folder.glob("results/corpora/*/splits/*.jsonl"):
        theirs = theirs.union(
            *(contamination.ngrams(sameness.units(dedupe.text(r)), 13) for r in read_jsonl(path)[0])
        )
    records = [record for record, _ in zip(neutral_text.documents(0), range(1000), strict=False)]
    own = set().union(*(contamination.ngrams(sameness.units(dedupe.text(record)), 13) for record in records))
    assert len(theirs) > 100 and len(own) > 100 and not own & theirs
