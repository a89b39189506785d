"""Models from a hub on loopback, by the real client: whole, checked, gone on with, or refused in one line."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import multimodal
import networks
import pytest
from corpora.hub_server import REVISION, Hub, sha

from implicit_sparsity.models import loading

CLIENT = """
import json, sys, prepare_model
from implicit_sparsity.errors import InputError
for target, base in json.loads(sys.argv[1]):
    try:
        prepare_model.prepare_model(target, "m", base)
        print("fine")
    except InputError as error:
        print(error)
"""
ROOT = Path(__file__).parents[2]
BIG = "model-00003-of-00003.safetensors"
MEGA = 2**20


def entry(repo, **more):
    return {"source": "hub", "repo": repo, "revision": REVISION, "layers": 4, "width": 64} | more


def start(hub, jobs, home, **more):
    """prepare_model for each (target, config entry), one line each."""
    command = [sys.executable, "-c", CLIENT, json.dumps([(str(target), base) for target, base in jobs])]
    return popen(command, hub.environment(home, **more))


def popen(command, environment):
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines(process):
    """What it printed; other than killed, it did not crash."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-2000:]
    return out.splitlines()


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    """Files of a nano model as published, one shard 32 MiB of noise: the client writes 10 MiB at a time."""
    import torch
    from safetensors.torch import save

    folder, _ = multimodal.make(tmp_path_factory.mktemp("hub") / "nano", "dense", shards=2)
    for path in folder.glob("*-of-00002*"):
        path.rename(path.with_name(path.name.replace("-of-00002", "-of-00003")))
    big = save({"mtp.big": torch.randn(8 * MEGA)}, metadata={"format": "pt"})
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"] = {
        name: file.replace("-of-00002", "-of-00003") for name, file in index["weight_map"].items()
    } | {"mtp.big": BIG}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {BIG: big}


@pytest.fixture(scope="module")
def hub():
    with Hub() as serving:
        yield serving


@pytest.fixture(scope="module", autouse=True)
def nobody(hub, tmp_path_factory):
    """A process that talks to a port where nobody listens, started early: the client tries for 23 s."""
    place = tmp_path_factory.mktemp("nobody")
    jobs = [(place / "m", entry("owner/m"))]
    process = start(hub, jobs, place / "home", HF_ENDPOINT="http://127.0.0.1:9")
    yield process
    process.kill()


@pytest.fixture(scope="module")
def prepared(hub, nano, tmp_path_factory):
    """All repositories that need no more than being asked for, in one process: where, and {name: line}."""
    place, jobs = tmp_path_factory.mktemp("prepared"), []
    more = {"pytorch_model.bin": b"a pickle", "original/model.safetensors": b"another", "README.md": b"card"}
    mixture = networks.make_model(place / "published", "mixture")
    (mixture / "manifest.json").unlink()
    hub.put("owner/once", nano | more, breaks={BIG: [15 * MEGA]}, broken=1)
    hub.put("owner/mixture", mixture)
    jobs = [("once", entry("owner/once")), ("mixture", entry("owner/mixture", width=8 * 16 + 24))]
    for name, (files, faults, more, _, _) in cases(nano).items():
        if files is not None:
            hub.put(f"owner/{name}", files, **faults)
        jobs.append((name, entry(f"owner/{name}", **more)))
    reported = lines(start(hub, [(place / name, base) for name, base in jobs], place / "home"))
    return place, dict(zip((name for name, _ in jobs), reported, strict=True))


def test_only_what_is_needed_and_a_single_break_is_gone_on_with(hub, nano, prepared):
    place, reported = prepared
    assert reported["once"] == "fine" and not list(place.glob(".partial-once*"))
    assert {path.name for path in (place / "once").iterdir()} == {*nano, "manifest.json"}
    assert hub.ranges(f"owner/once/{BIG}")[-1] == f"bytes={10 * MEGA}-"
    assert (place / "once" / BIG).read_bytes() == nano[BIG]
    manifest = json.loads((place / "once" / "manifest.json").read_text())
    assert manifest["files"] == {name: sha(content) for name, content in nano.items()}
    assert (manifest["revision"], manifest["repository"]) == (REVISION, "owner/once")
    assert loading.load(place / "once").config.num_hidden_layers == 4


def test_prepared_folder_has_the_bytes_of_the_repository_once(hub, prepared):
    """One file, not two: the download is a second name of the same bytes, then gone."""
    place, reported = prepared
    weights = place / "mixture" / SINGLE
    assert reported["mixture"] == "fine" and weights.stat().st_nlink == 1
    assert weights.read_bytes() == (place / "published" / SINGLE).read_bytes()
    assert not list((place / "home").rglob("*.safetensors")), "no copy in the hub's own cache"


def partial(folder):
    """Bytes so far of the big shard."""
    result = list(folder.glob(f".partial-m-*/{BIG}.partial"))
    return result[0].stat().st_size if result else 0


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "never came"
        time.sleep(0.02)


def test_killed_download_asks_for_the_rest_only(hub, nano, tmp_path):
    released = threading.Event()
    hub.put("owner/killed", nano, stalls={BIG: released})
    process = start(hub, [(tmp_path / "m", entry("owner/killed"))], tmp_path / "home")
    wait_for(lambda: partial(tmp_path) >= 20 * MEGA)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "m").exists() and partial(tmp_path) == 20 * MEGA
    released.set()
    hub.seen.clear()
    assert lines(start(hub, [(tmp_path / "m", entry("owner/killed"))], tmp_path / "home")) == ["fine"]
    assert [(path, r) for method, path, r in hub.seen if method == "GET" and "/api/" not in path] == [
        (f"/owner/killed/resolve/{REVISION}/{BIG}", f"bytes={20 * MEGA}-"),
        (f"/cdn/owner/killed/{BIG}", f"bytes={20 * MEGA}-"),
    ], "nothing that was here is asked for again"
    assert (tmp_path / "m" / BIG).read_bytes() == nano[BIG]


def test_offline_afterwards(hub, nano, tmp_path):
    """The prepared folder needs no hub; and an offline process says so where it would need one."""
    hub.put("owner/off", nano)
    jobs = [(tmp_path / "m", entry("owner/off"))]
    (line,) = lines(start(hub, jobs, tmp_path / "home", HF_HUB_OFFLINE="1"))
    assert line.startswith(f"owner/off@{REVISION}: models.m.repo: the hub cannot be reached: ")
    assert "offline mode is enabled" in line and hub.ranges("owner/off") == []


GOOD = ("config.json", "tokenizer.json", "tokenizer_config.json")
SINGLE = "model.safetensors"


GATED = "is gated: accept its licence on the hub, then log in with `hf auth login`"
NONE = "no such model on the hub, or a private one: log in with `hf auth login`"


def cases(nano):
    """name -> (files, faults, more of the config entry, key and words of the line)."""
    small = {name: nano[name] for name in GOOD}
    whole, pickled = small | {SINGLE: nano[BIG][: 2 * MEGA]}, small | {"pytorch_model.bin": b"a pickle"}
    short = {name: content for name, content in nano.items() if name != BIG}
    return {
        "gated": (whole, {"gated": "files"}, {}, "repo", GATED),
        "closed": (whole, {"gated": "all"}, {}, "repo", GATED),
        "none": (None, {}, {}, "repo", NONE),
        "none404": (None, {}, {}, "repo", NONE),
        "moved": (whole, {}, {"revision": "f" * 40}, "revision", "the repository has no such commit"),
        "forged": (whole, {"wrong": (SINGLE,)}, {}, "repo", f"{SINGLE}: what arrived has another checksum"),
        "config": (whole, {"wrong": ("config.json",)}, {}, "repo", "config.json: what arrived has another"),
        "pickled": (pickled, {}, {}, "repo", "only pickled ones, which are refused: pytorch_model.bin"),
        "bare": (small, {}, {}, "repo", "has no safetensors weights (none at all)"),
        "mute": ({SINGLE: whole[SINGLE]}, {}, {}, "repo", "has no config.json"),
        "short": (short, {}, {}, "repo", f"index.json names {BIG}, which is not there (1 missing)"),
        "huge": (whole, {"sizes": {SINGLE: 5 * 10**16}}, {}, "repo", "50000000.0 GB are still to come, "),
        "narrow": (whole, {}, {"width": 96}, "width", "declared 96, the model has 64"),
        "broken": (whole, {"breaks": {SINGLE: [-1]}}, {}, "repo", f"{SINGLE}: the transfer broke again and"),
    }


def test_every_failure_is_one_line_with_repository_revision_and_key(hub, nano, prepared):
    place, reported = prepared
    for name, (_, _, more, key, words) in cases(nano).items():
        at = f"owner/{name}@{more.get('revision', REVISION)}: " if key != "width" else ""
        assert reported[name].startswith(f"{at}models.m.{key}: ") and words in reported[name], (
            name,
            reported[name],
        )
        assert not (place / name).exists()
    for name in ("pickled", "bare", "short", "huge", "narrow", "gated"):
        assert hub.ranges(f"owner/{name}/{SINGLE}") == [], f"{name}: not a byte of weights was asked for"
    assert re.search(r" has \d+\.\d [GM]B of free disk", reported["huge"])
    retained = {path.name for path in place.glob(".partial-forged-*/*")}
    assert "config.json" in retained and not retained & {SINGLE, f"{SINGLE}.partial"}, (
        "wrong bytes are not kept"
    )


def test_no_network_is_one_line(nobody):
    (line,) = lines(nobody)
    assert line.startswith(f"owner/m@{REVISION}: models.m.repo: the hub cannot be reached: ")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if done.returncode:
        pytest.skip(f"may not mount a small file system: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


WORKFLOW = ("Snakefile", "config.yaml", "rules", "scripts", "envs", "slurm")


def test_rules_fetch_on_the_submitting_node(hub, nano, tmp_path):
    """Under the profile for SLURM, where no SLURM is: these two jobs are not sent anywhere."""
    for name in WORKFLOW:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    rows = b"".join(json.dumps({"q": f"{i} + 1?", "a": f"{i + 1}"}).encode() + b"\n" for i in range(30))
    hub.put("owner/model", nano)
    hub.put("owner/rows", {"raw/rows.jsonl": rows})
    fields = {"prompt": "q", "completion": "a"}
    rows = {
        "loader": "hub",
        "repo": "owner/rows",
        "revision": REVISION,
        "file": "raw/rows.jsonl",
        "licence": "MIT",
    }
    study = {
        "models": {"smollm2": False, "big": entry("owner/model")},
        "domains": {"math": {"sources": {"sums": rows | {"fields": fields}}}},
    }
    (tmp_path / "over.json").write_text(json.dumps(study))
    wanted = ["results/models/big/manifest.json", "results/corpora/math/sources/sums.jsonl"]
    options = ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1"]
    options += ["--configfile", "config.yaml", "over.json", "--", "results/models/big", wanted[1]]
    environment = hub.environment(tmp_path / "home")
    del environment["PYTHONPATH"]
    command = [sys.executable, "-m", "snakemake", *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "localrule fetch_model:" in done.stderr and "localrule fetch_source:" in done.stderr
    assert len((tmp_path / wanted[1]).read_text().splitlines()) == 30
    assert json.loads((tmp_path / wanted[0]).read_text())["revision"] == REVISION


FETCH = """
import sys; from pathlib import Path
from implicit_sparsity.errors import InputError; from implicit_sparsity.storage.hub import Repository
repository = Repository(sys.argv[1], sys.argv[2], at="models.m.")
try:
    repository.fetch(repository.files(), Path(sys.argv[3]))
    print("fine")
except InputError as error:
    print(error)
"""


def test_disk_that_fills_up_in_mid_transfer(hub, nano, tmp_path, small_disk):
    released, folder = threading.Event(), small_disk / "m"
    hub.put("owner/full", nano, stalls={BIG: released})

    def fetch():
        command = [sys.executable, "-c", FETCH, "owner/full", REVISION, str(folder)]
        return popen(command, hub.environment(tmp_path / "home"))

    def so_far():
        file = folder / f"{BIG}.partial"
        return file.stat().st_size if file.exists() else 0

    process = fetch()
    wait_for(lambda: so_far() >= 20 * MEGA)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 24 * MEGA)  # somebody else's: the check before the first byte could not know
    released.set()
    (line,) = lines(process)
    assert line.startswith(f"owner/full@{REVISION}: models.m.repo: {BIG}: the disk is full: ")
    assert 20 * MEGA <= so_far() < 32 * MEGA
    filler.unlink()
    assert lines(fetch()) == ["fine"] and (folder / BIG).read_bytes() == nano[BIG]
