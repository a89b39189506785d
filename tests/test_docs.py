"""What README.md and docs/ say holds: every command is run, resolved, or listed with the reason why not.

A cheap command is run as it stands in a small finished study. An expensive one is resolved: `make -n`, and
then a dry run of what make would run, with the arguments of the text; the test that runs the like is named.
The worked examples of docs/adding.md and the README's mine.yaml are taken out of the text and run. Links and
paths: test_docs_pages.py; knobs: test_docs_knobs.py.
"""

import csv
import os
import re
import shlex
import shutil
import sys
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import studies
import texts
import yaml
from commands import SNAKEMAKE, call, dry, laid, place, steps, translated
from texts import NOTHING, OUTSIDE, RESOLVED, ROOT, RUN, TEXTS

from implicit_sparsity.storage import store

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study as the config.yaml of a clone, finished by the first command of the README."""
    folder = studies.copy_repository(tmp_path_factory.mktemp("docs") / "study")
    nano = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())
    keep = {
        "probes": ("activations", "activation_sparsity"),
        "figures": ("loss_curves", "forgetting_learning"),
    }
    off = {
        room: {name: False for name in {**CONFIG[room], **nano.get(room, {})} if name not in names}
        for room, names in keep.items()
    }
    off["probes"]["activations"] = {"controls": []}
    whole = laid(laid(yaml.safe_load((ROOT / "config.yaml").read_text()), nano), studies.trimmed(**off))
    del whole["optional"], whole["claims"]["h1b"], whole["claims"]["h5"]  # of what is off, in the same file
    (folder / "config.yaml").write_text(yaml.safe_dump(whole))
    call(folder, translated("make")[0])
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The repository as it is, with the examples of docs/adding.md where they say."""
    folder = studies.copy_repository(tmp_path_factory.mktemp("docs") / "clone")
    sections = ("A domain", "A probe", "A measurement")
    entries = [yaml.safe_load(place(folder, section)["mine.yaml"]) for section in sections]
    (folder / "mine.yaml").write_text(yaml.safe_dump(reduce(laid, entries)))
    return folder


def test_every_command_is_dealt_with():
    result = {command for text in TEXTS.values() for command in texts.commands(text)}
    known = [*RUN, *RESOLVED, *OUTSIDE]
    assert len(known) == len(set(known))
    assert result - set(known) == set(), "run it, resolve it or say why not: the tables of tests/texts.py"
    assert set(known) - result == set(), "no page says these any more"
    assert {test for test in RESOLVED.values() if not (ROOT / test).is_file()} == set()


def test_snakemake_is_told_how_many_cores():
    """Without -c it refuses to run anything; a profile says it, and a dry run needs none."""
    reported = re.compile(r" (-c\d+|-n|--profile|--report)\b")
    for text in TEXTS.values():
        named = [command for command in texts.commands(text) if command.startswith(".venv/")]
        result = [c for c in {*texts.lines(text), *named} if re.search(r"(^|[/ ])snakemake ", c)]
        assert [command for command in result if not reported.search(command)] == []


@pytest.mark.parametrize("command", RUN)
def test_cheap_commands_run(study, command):
    (study / "mine.yaml").write_text("archive: {path: archives/mine.tar.gz}\n")
    arguments, environment = translated(command)
    arguments = ["results/figures/loss_curves.pdf" if word == "FILE" else word for word in arguments]
    assert RUN[command] in call(study, arguments, **environment)


def test_expensive_commands_resolve(clone):
    """One dry run for all targets that share their options; under a profile the rules are listed instead."""
    targets = {}
    for command in RESOLVED:
        for words in steps(command, clone):
            words = [word for word in words if word != "-n" and not re.fullmatch(r"-c\d+", word)]
            if words[:1] in (["--lint"], ["--report"]):  # of `make lint`, and run above
                continue
            profile = words[:2] if words[:1] == ["--profile"] else []
            words = words[len(profile) :]
            first = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
            targets.setdefault((*profile, *words[first:]), set()).update(words[:first])
    assert {(), ("--config", "with=ladder"), ("--profile", "slurm")} <= set(targets)
    for options, wanted in targets.items():
        if options[:1] != ("--profile",):
            dry(clone, *sorted(wanted), *options, "-q", "rules")
            continue
        reported = call(clone, [*SNAKEMAKE, *options, "--list-rules"])
        figures = {target for target in wanted if target.startswith("results/figures/")}
        assert {Path(figure).stem for figure in figures} <= set(CONFIG["figures"])
        assert wanted - figures <= set(re.findall(r"^(\w+)", reported, re.M))


def test_the_study_of_the_readme(study, clone):
    """Ten lines: what they come to over config.yaml, and a stage of it, trained and scored at nano size."""
    mine = texts.files(TEXTS["README.md"])["mine.yaml"]
    assert len(mine.splitlines()) == 10
    for folder in (study, clone):
        (folder / "readme.yaml").write_text(mine)
    reported = dry(clone, "all", "--configfile", "readme.yaml", "-q", "rules")
    count = re.search(r"runs it: ([\d,]+) jobs", TEXTS["README.md"]).group(1).replace(",", "")
    assert re.search(rf"^total +{count}$", reported, re.M)
    assert re.search(
        r"^train_adapter +288$", reported, re.M
    )  # 6 families, 2 rates, 2 orders, 3 seeds, 4 stages
    nano = {"orders": {"backward": ["math", "code"]}, "training": {"steps": 3}, "evals": {"documents": 4}}
    (study / "over.yaml").write_text(yaml.safe_dump(nano))
    method = "activation_mask_random_learning_rate_0p0008"
    target = f"results/evals/nano_dense/{method}.backward.seed2.stage2/math.json"
    files = ["--configfile", "readme.yaml", "over.yaml"]
    reported = call(study, [*SNAKEMAKE, "-c2", target, *files])
    ran = ["preflight", "train_adapter", "train_adapter", "evaluate_checkpoint"]
    assert studies.finished_jobs(reported) == ran


def on_a_terminal(folder, command, check=True):
    """What a command shows on a terminal of 100 columns, without what moves the cursor and colours."""
    shown = call(folder, ["script", "-qec", f"stty cols 100; {shlex.join(command)}", "/dev/null"], check)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)


def test_make_shows_how_far_it_is_and_ends_with_the_verdicts(study):
    """On a terminal bars, and the log of a job that fails; elsewhere plain lines; at the end the verdicts."""
    command = translated("make")[0]
    table = study / "results/tables/learning_curves.csv"
    whole = table.read_bytes()
    table.write_text("step\n")
    failed = on_a_terminal(study, command, check=False)
    assert "error: draw_figure: " in failed and "Log file: results/logs/draw_figure/loss_curves.log" in failed
    assert "verdicts.md" not in failed
    table.write_bytes(whole)
    shown = on_a_terminal(study, command)
    assert "Workflow Progress" in shown and "draw figure" in shown and "100%" in shown
    plain = call(study, command)
    assert "\x1b" not in plain and "Workflow Progress" not in plain and NOTHING in plain
    for output in (shown, plain):
        assert re.search(r"^NOT RUN +H1a.*H8\s+Why: results/verdicts.md", output, re.M)


def test_what_is_called_wrong_goes_wrong(study, tmp_path):
    """Pairs of docs/footguns.md about running: a changed config, and commands that hide it."""
    change = ["--configfile", "changed.yaml"]
    (study / "changed.yaml").write_text("training: {weight_decay: 0.01}\n")
    folder = tmp_path / "study"
    shutil.copytree(study, folder, symlinks=True)
    assert re.search(r"^train_adapter +2$", dry(folder, *change), re.M)
    assert NOTHING in dry(folder, *change, "--rerun-triggers", "mtime")
    assert "all: (top level): found no such file or directory" in call(
        folder, [*SNAKEMAKE, "-c2", *change, "all"], check=False
    )
    stage = folder / "results/adapters/nano_dense/lora.forward.seed0.stage2/adapter_model.safetensors"
    before = stage.read_bytes()
    call(folder, [*SNAKEMAKE, "-c2", "--touch", "all", *change])
    assert NOTHING in dry(folder, *change) and stage.read_bytes() == before


def test_a_probe_is_a_file_and_an_entry(study):
    result = place(study, "A probe")
    probe, test, _ = result
    assert sum(len(content.splitlines()) for content in (result[probe], result["mine.yaml"])) < 40
    assert "1 passed" in call(study, [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test])
    table = "results/tables/effective_neurons.csv"
    reported = call(study, [*SNAKEMAKE, "-c2", table, "--configfile", "mine.yaml"])
    assert set(studies.finished_jobs(reported)) - {"preflight"} == {
        "probe_table"
    }  # the plan: of another test
    with open(study / table, encoding="utf-8") as file:
        rows = {
            (row["domain"], row["half"], int(row["layer"])): float(row["value"])
            for row in csv.DictReader(file)
        }
    code = store.open_store(study / "results/activations/nano_dense/base/code.zarr")
    use = code["contribution"].sel(half="b").values[3]  # plain numbers, half b of the last layer
    p = use / use.sum()
    assert rows["code", "b", 3] == pytest.approx(np.exp2(-(p * np.log2(p)).sum()) / len(p))
    assert len(rows) == 2 * 2 * 4
    wrong = ["--config", "probes={effective_neurons: {scroe: sum_abs}}"]
    assert "did you mean score?" in dry(study, *wrong, check=False)


def test_a_domain_is_an_entry(study):
    result = place(study, "A domain")
    assert sum(len(content.splitlines()) for content in result.values()) < 40
    command = next(c for c in texts.commands(TEXTS["docs/adding.md"]) if "results/tokens/" in c)
    few = [line for line in result["mine.yaml"].splitlines() if not re.match("splits|evals|probes", line)]
    (study / "few.yaml").write_text("\n".join(few))
    model = {"source": "path", "path": "results/models/nano_dense", "layers": 4, "width": 64}
    over = {  # the study has one nano model and two domains where config.yaml has SmolLM2 and four
        "models": {"nano_dense": False, "smollm2": model},
        "orders": {"forward": ["code", "math", "cooking"]},
        "probes": dict.fromkeys(("gradients", "drift", "thresholds", "plasticity_task", "relearning"), False),
    }
    (study / "over.yaml").write_text(yaml.safe_dump(over))
    call(study, [*translated(command)[0], "over.yaml"])
    index = yaml.safe_load((study / "results/tokens/smollm2/cooking/index.json").read_text())
    manifest = yaml.safe_load((study / "results/corpora/cooking/splits/manifest.json").read_text())
    sizes = yaml.safe_load(result["mine.yaml"])["splits"]
    sizes |= dict.fromkeys(("probe_a", "probe_b"), sizes.pop("probe"))
    assert manifest["documents"] == sizes and set(index["splits"]) == set(sizes)
    assert all(set(shares) == {"recipes", "kitchen"} for shares in manifest["by_source"].values())
    data = study / "data/kitchen.jsonl"  # the pair of docs/footguns.md: a change with the old one's time
    status = data.stat()
    data.write_text(result["data/kitchen.jsonl"].replace("A minute", "Two minutes"))
    os.utime(data, ns=(status.st_atime_ns, status.st_mtime_ns))
    dry = [*translated(command)[0], "over.yaml", "-n"]
    assert NOTHING in call(study, dry)
    os.utime(data)
    assert re.search(r"^collect_source +1$", call(study, dry), re.M)
    reported = call(study, [*translated(command.replace("mine", "few"))[0], "over.yaml"], check=False)
    assert re.search(
        r"^error: split_domain: cooking: split train wants \d+ documents, \d+ available", reported, re.M
    )
