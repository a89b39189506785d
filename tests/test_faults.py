"""Jobs and runs that are killed, starved of disk or fed damaged files end in the bytes of undisturbed ones.

The scripts of the GPU rules run as Snakemake runs them (job.run, a process each), on nano models. Delays are
drawn from a seeded stream. What a job may not do: leave something half-written under an output's name, take
such a thing for whole, or repeat what was finished.
"""

import contextlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import studies
from networks import TRAINING

from implicit_sparsity.provenance import record

EVALS = {"documents": 6, "choice_items": 3, "generate": [], "generation_items": 0, "max_new_tokens": 4}
EVALS |= {"batch_tokens": 200}
ACTIVATIONS = {"tokens": 100, "top_k": [0.1], "thresholds": [0.1], "skip_first": 1, "batch_tokens": 200}
STEPS = TRAINING | {"steps": 16, "checkpoint_every": 2}
CODE = {"domains": ["code"], "code": "c"}
KILLS = 8  # of each kind of job: 24 in all
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


def work(folder, given):
    """One job, in a process of its own: what Snakemake's script object holds, and job.run."""
    import importlib

    from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards

    from implicit_sparsity.workflow import job

    os.chdir(folder)
    Path("errors").open("a").close()
    os.dup2(os.open("errors", os.O_WRONLY | os.O_APPEND), 2)
    for path in outputs(folder, given):
        path.parent.mkdir(parents=True, exist_ok=True)  # as Snakemake does
    parts = {"input": InputFiles, "output": OutputFiles, "params": Params, "wildcards": Wildcards}
    parts = {name: kind(fromdict=given.get(name, {})) for name, kind in parts.items()}
    resources = ResourceList(fromdict=given.get("resources", {}))
    snakemake = SimpleNamespace(
        rule=given["rule"], threads=1, log=Log(toclone=["job.log"]), resources=resources
    )
    snakemake.__dict__.update(parts)
    script = importlib.import_module(given["rule"])
    job.run(getattr(script, given["rule"]), snakemake)


@pytest.fixture(scope="module")
def starter():
    """Starts processes that have torch already: forks of one that did nothing but import."""
    here = Path(__file__).parent
    context = multiprocessing.get_context("forkserver")
    preload = ["torch", "transformers", "peft", "xarray", "zarr", "snakemake.iocontainers", "test_faults"]
    context.set_forkserver_preload(preload)
    with pytest.MonkeyPatch.context() as patch:  # later tests' jobs have their own library
        patch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent / "scripts")]))
        first = context.Process(target=os.getpid)  # waits for the imports: they are not part of a job's time
        first.start()
        first.join()
    return lambda folder, given: context.Process(target=work, args=(str(folder), given))


def run(starter, folder, given) -> int:
    process = starter(folder, given)
    process.start()
    process.join(120)
    assert process.exitcode is not None, "hangs"
    return process.exitcode


@pytest.fixture(scope="module")
def jobs(nano):
    """kind -> the job as given to `work`; outputs are relative to its folder."""
    model, tokens = nano("dense")
    mixture, routed = nano("mixture")
    names = sorted(tokens)
    return {
        "train": {
            "rule": "train_adapter",
            "input": {"model": str(model), "tokens": [str(tokens["code"])]},
            "output": {"adapter": "adapters/x.stage1"},
            "params": {"recipe": studies.recipe("lora", {"rank": 2}, STEPS, model="m"), "code": "c"},
            "wildcards": {"method": "lora", "order": "o", "seed": "0", "stage": "1", "model": "m"},
        },
        "probe": {
            "rule": "measure",
            "input": {"model": str(mixture), "tokens": str(routed["math"])},
            "output": {"store": "activations/math.zarr"},
            "params": {"base": {}, "domains": ["math"], "options": ACTIVATIONS, "code": "c"},
            "wildcards": {"measurement": "activations", "domain": "math", "checkpoint": "base"},
        },
        "evaluate": {
            "rule": "evaluate_checkpoint",
            "input": {"model": str(model), "tokens": [str(tokens[name]) for name in names]},
            "output": {"evals": [f"evals/m/base/{name}.json" for name in names]},
            "params": {"base": {}, "domains": names, "options": EVALS, "code": "c"},
            "wildcards": {"checkpoint": "base"},
        },
    }


def outputs(folder, given) -> list[Path]:
    named = next(iter(given["output"].values()))
    return [Path(folder) / path for path in ([named] if isinstance(named, str) else named)]


def made(folder, given) -> dict:
    """{file: bytes} of a job's outputs, less what may differ."""
    result = {}
    for path in outputs(folder, given):
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        result |= {str(file.relative_to(folder)): studies.content(file) for file in files}
    return result


def take_away(folder, given):
    """What Snakemake does with a failed job's outputs."""
    for path in outputs(folder, given):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def undisturbed(starter, jobs, tmp_path_factory):
    """kind -> (files, seconds)."""
    result = {}
    for kind, given in jobs.items():
        folder, began = tmp_path_factory.mktemp(kind), time.monotonic()
        assert run(starter, folder, given) == 0, (folder / "errors").read_text()
        result[kind] = made(folder, given), time.monotonic() - began
    return result


@pytest.mark.parametrize("kind", ["train", "probe", "evaluate"])
def test_killed_at_random_moments(starter, jobs, undisturbed, tmp_path, kind):
    given, (whole, seconds) = jobs[kind], undisturbed[kind]
    chance, killed = random.Random(kind), 0
    for _ in range(8 * KILLS):
        process = starter(tmp_path, given)
        process.start()
        delay = chance.uniform(0.1, 1.0) * seconds
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):  # it was through
            os.kill(process.pid, chance.choice(SIGNALS))
        process.join(60)
        killed += process.exitcode != 0
        left = made(tmp_path, given)
        wholes = [p for p in outputs(tmp_path, given) if p.exists()]
        expected = {name: data for name, data in whole.items() if belongs(name, tmp_path, wholes)}
        assert unsigned(left) == unsigned(expected), "whole or not there"
        for name, data in left.items():
            if name.endswith(record.FOLDER) or record.KEY.encode() in data:
                assert data == expected[name], "a record is whole or not there"
        if killed == KILLS:
            break
        if process.exitcode == 0:  # it was through already: begin afresh, and be quicker
            seconds = min(seconds, max(delay, seconds / 2))
            shutil.rmtree(tmp_path)
            tmp_path.mkdir()
        else:
            take_away(tmp_path, given)
    assert killed == KILLS
    assert run(starter, tmp_path, given) == 0
    assert made(tmp_path, given) == whole
    assert list(tmp_path.rglob(".partial-*")) == [], "scratch is gone"


def unsigned(result) -> dict:
    """The same without the record of provenance, a job's last act: Snakemake's mark says if it is missing."""
    bare = {name: data for name, data in result.items() if not name.endswith(record.FOLDER)}
    for name in [name for name in bare if name.endswith(".json")]:
        value = json.loads(bare[name])
        for place in (value, value.get("attributes", {})):
            place.pop(record.KEY, None)
        bare[name] = json.dumps(value, sort_keys=True)
    return bare


def belongs(name, folder, paths):
    return any((folder / name).is_relative_to(path) for path in paths)


def test_what_was_finished_is_not_done_again(starter, jobs, undisturbed, tmp_path):
    """Snakemake takes away what a failed group made; a job that was through is put back, and only that."""
    for kind, given in jobs.items():
        folder = tmp_path / kind
        folder.mkdir()
        cached = given | {"resources": {"output_cache": "kept"}}
        assert run(starter, folder, cached) == 0
        take_away(folder, given)
        assert run(starter, folder, cached) == 0
        assert "taken from" in (folder / "job.log").read_text()
        assert made(folder, given) == undisturbed[kind][0]
        take_away(folder, given)
        other = cached | {"params": given["params"] | {"code": "changed"}}
        assert run(starter, folder, other) == 0
        assert "taken from" not in (folder / "job.log").read_text(), "of other code"
        assert len(list((folder / "kept").glob("*/*"))) == 1, "and the old one is dropped"


def test_kept_files_that_were_altered_are_not_taken(starter, jobs, tmp_path):
    given = jobs["probe"] | {"resources": {"output_cache": "kept"}}
    assert run(starter, tmp_path, given) == 0
    (chunk, *_) = (p for p in tmp_path.glob("kept/*/*/0/sum_abs/c/**/*") if p.is_file())
    os.truncate(chunk, chunk.stat().st_size // 2)
    take_away(tmp_path, given)
    assert run(starter, tmp_path, given) == 0
    assert "altered" in (tmp_path / "job.log").read_text()


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of some kB; unmounted at the end."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place], check=True)
        return place

    yield mount
    subprocess.run(["umount", "-l", place], stderr=subprocess.DEVNULL)


@root_only
@pytest.mark.parametrize("kind", ["train", "probe", "evaluate"])
def test_full_disk_then_a_larger_one(starter, jobs, undisturbed, small_disk, kind):
    given, (whole, _) = jobs[kind], undisturbed[kind]
    # half of what the artifact takes: it is full while the artifact is being written
    place = small_disk(f"size={max(8, sum(map(len, whole.values())) // 2048)}k")
    assert run(starter, place, given) in (1, 2)
    assert not any(path.exists() for path in outputs(place, given)) or kind == "evaluate"
    assert len((place / "errors").read_text().splitlines()) <= 1, "one line, where there was room for it"
    assert all(whole[name] == data for name, data in made(place, given).items())
    take_away(place, given)
    subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
    assert run(starter, place, given) == 0
    assert made(place, given) == whole


@root_only
def test_read_only_results(starter, jobs, undisturbed, small_disk):
    """Nothing is written, the error is one line; writable again, the job runs as if nothing had been."""
    given, place = jobs["probe"], small_disk("size=64m")
    results = place / "activations"
    results.mkdir()
    subprocess.run(["mount", "--bind", results, results], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", results], check=True)
    try:
        assert run(starter, place, given) == 2
        (line,) = (place / "errors").read_text().splitlines()
        assert "Read-only" in line and line.startswith("error: measure:")
    finally:
        subprocess.run(["umount", results], check=True)
    assert list(results.iterdir()) == []
    assert run(starter, place, given) == 0
    assert made(place, given) == undisturbed["probe"][0]


@pytest.mark.parametrize("kind", ["train", "probe", "evaluate"])
def test_truncated_shard_is_one_clear_line(starter, jobs, tmp_path, kind):
    given = json.loads(json.dumps(jobs[kind]))
    tokens = given["input"]["tokens"]
    source = Path(tokens if isinstance(tokens, str) else tokens[0])
    copy = tmp_path / "tokens"
    shutil.copytree(source, copy)
    for shard in copy.rglob("*.tokens.bin"):
        os.truncate(shard, shard.stat().st_size - 4)
    given["input"]["tokens"] = str(copy) if isinstance(tokens, str) else [str(copy), *tokens[1:]]
    assert run(starter, tmp_path, given) == 1
    (line,) = (tmp_path / "errors").read_text().splitlines()
    assert line.startswith(f"error: {given['rule']}: {copy}")
    assert not any(path.exists() for path in outputs(tmp_path, given))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A trimmed study that ran through with one core, in a folder whose name has a space."""
    folder = studies.trimmed_study(tmp_path_factory.mktemp("undisturbed") / "one core")
    studies.run(folder, "-c1", "all")
    return folder


def kill_all(process, number):
    """A signal to Snakemake and whatever it started, as a lost session would."""
    os.killpg(process.pid, number)
    process.wait(60)


# sets in another order than in the study that ran undisturbed, and no job is a fork
OTHERWISE = {"PYTHONHASHSEED": "1"}


def test_snakemake_killed_and_two_at_once(study, tmp_path):
    """Killed hard and softly, run twice at once, with two cores in another folder: the same bytes, and no
    finished job is repeated."""
    folder, chance, finished = tmp_path / "two", random.Random(0), []
    shutil.copytree(study, folder, ignore=shutil.ignore_patterns("results", ".snakemake"))
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        words = tmp_path / "words"
        with words.open("w") as output:
            process = subprocess.Popen(
                studies.command("-c2", "--rerun-incomplete", "all"),
                cwd=folder,
                env=studies.environment(**OTHERWISE),
                start_new_session=True,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        goal = chance.randint(2, 5)
        end = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < end:
            if len(studies.finished_jobs(words.read_text())) >= goal:
                break
            time.sleep(0.1)
        if number is signal.SIGTERM:
            second = studies.run(folder, "-c1", "--rerun-incomplete", "all", check=False)
            assert "another run is at work here" in second and "Finished jobid" not in second
        time.sleep(chance.uniform(0, 3))
        kill_all(process, number)
        finished += jobs_of(words.read_text())
        studies.run(folder, "--unlock")
    finished += jobs_of(studies.run(folder, "-c2", "--rerun-incomplete", "all", **OTHERWISE))
    assert len(finished) == len(set(finished)), "a finished job was repeated"
    ours, theirs = studies.artifacts(folder), studies.artifacts(study)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert "Nothing to be done" in studies.run(folder, "-c1", "all")


def jobs_of(output) -> list[tuple]:
    """(rule, wildcards) of finished jobs."""
    started = {}
    for block in re.split(r"\n(?:local)?rule ", output)[1:]:
        number = re.search(r"^ +jobid: (\d+)", block, re.M)
        wildcards = re.search(r"^ +wildcards: (.+)$", block, re.M)
        if number:
            started[number[1]] = block.split(":", 1)[0], wildcards[1] if wildcards else ""
    done = re.findall(r"^Finished jobid: (\d+)", output, re.M)
    return [started[number] for number in done if number in started]
