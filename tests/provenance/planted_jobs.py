"""Jobs without Snakemake, and the files that they make."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards

from implicit_sparsity.provenance.record import _current, begin, finish, read


def job(function, rule="work", **given):
    kinds = {"input": InputFiles, "output": OutputFiles, "params": Params, "wildcards": Wildcards}
    parts = {name: kind(fromdict=given.get(name, {})) for name, kind in kinds.items()}
    return begin(function, SimpleNamespace(rule=rule, **parts))


def made(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    return str(path)


@pytest.fixture(autouse=True)
def no_job():
    yield
    _current.clear()


def table_of_scores(count):
    """results/tables/scores.csv in the working folder, of so many inputs, each by a job."""
    paths = []
    for number in range(count):
        job(lambda: None, "score")
        paths.append(made(Path(f"results/evals/{number}.json"), "{}"))
        finish(paths[-1:])
    job(lambda evals: None, "table", input={"evals": paths})
    finish([made(Path("results/tables/scores.csv"), "a\n")])


def chain(tmp_path, seed=0, commit="a"):
    """source -> table, each by a job."""
    source, table = tmp_path / "source.jsonl", tmp_path / "table.csv"
    manifest = tmp_path / "source.manifest.json"
    metadata = {"domain": "math", "source": "gsm", "loader": "gsm", "sha256": {"source.jsonl": "5" * 64}}
    job(lambda options: None, "collect", params={"options": {"seed": seed}, "code": "1"})
    outputs = [made(source, "{}\n"), made(manifest, json.dumps(metadata))]
    finish(outputs)
    job(
        lambda files: None, "table", input={"files": [str(source)], "plan": "plan.json"}, params={"code": "2"}
    )
    finish([made(table, "a\n1\n")])
    return read(source), read(table)
