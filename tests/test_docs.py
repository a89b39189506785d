"""What README.md and docs/ say holds: every command is run, resolved, or listed with the reason why not.

A cheap command is run as it stands in a small finished study. An expensive one is resolved: `make -n`, and
then a dry run of what make would run, with the arguments of the text; the test that runs the like is named.
Links, paths and knobs are checked. The worked examples of docs/adding.md and the README's mine.yaml are taken
out of the text and run.
"""

import csv
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
import studies
import texts
import yaml
from texts import NOTHING, OUTSIDE, RESOLVED, ROOT, RUN

from implicit_sparsity.storage import store
from implicit_sparsity.workflow.config.model_keys import KINDS
from implicit_sparsity.workflow.config.sections import Config, Method
from implicit_sparsity.workflow.source import available, option_fields, signature_options

TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in texts.PAGES}
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def call(folder, command, check=True, **more):
    """What a finished command said."""
    env = studies.environment(**more)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=500)
    return studies.reported(done, check)


def dry(folder, *arguments, check=True):
    """What a dry run said."""
    return studies.reported(studies.snakemake(folder, "-n", *arguments), check)


def translated(command: str) -> tuple[list[str], dict]:
    """(arguments, environment) of a command of the text: with this Python, and the .venv it is in."""
    words, environment = shlex.split(command), {}
    while "=" in words[0]:
        environment |= [words.pop(0).split("=", 1)]
    if words[0] == "make":
        made = [part for stamp in ("run", "dev") for part in ("-o", f".venv/{stamp}.stamp")]
        return ["make", *made, f"python={sys.executable}", *words[1:]], environment
    if words[0] in ("snakemake", ".venv/bin/snakemake"):
        return [*SNAKEMAKE, *words[1:]], environment
    python = words[0] in ("python", "python3", ".venv/bin/python")
    return [sys.executable if python else words[0], *words[1:]], environment


def laid(below: dict, above: dict) -> dict:
    """One config over another, key by key, as workflow/config/layers.py does it."""
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = laid(dict(below[key]), value) if nested else value
    return below


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
    del whole["optional"]
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


def place(folder, section) -> dict:
    """Put the files of a section of docs/adding.md where it says."""
    result = texts.files(texts.section(TEXTS["docs/adding.md"], section))
    for path, content in result.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return result


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


def steps(command: str, clone) -> list[list[str]]:
    """The Snakemake command lines that a command comes to; everything else of it is looked up here."""
    words = shlex.split(command)
    if words[0] == "make":  # what it would do on a machine where nothing is installed yet
        lines = call(clone, ["make", "-n", "-s", f"python={sys.executable}", *words[1:]]).splitlines()
        return [step for line in lines for step in steps(line, clone)]
    if words[0] == "timeout":
        return steps(shlex.join(words[4:]), clone)  # timeout -k 30 900 command
    if words[0] == "bash":
        call(clone, ["bash", "-n", words[1]])
    if words[0] == "for":
        assert list(clone.glob(words[3].rstrip(";")))
    if words[0] in ("bash", "echo", "for", "test", "touch"):
        return []
    words = translated(command)[0]
    assert words[0] == sys.executable, f"what is {command}?"
    if words[1:3] == ["-m", "snakemake"]:
        return [words[3:]]
    if words[1] == "-m":
        assert importlib.util.find_spec(words[2]), words[2]
        named = [word for word in words[3:] if re.match(r"(tests|rules|scripts)\b", word)]
    else:
        named = words[1:2]
    assert all((clone / word).exists() for word in named), command
    return []


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
    count = re.search(r"runs it: (\d+) jobs", TEXTS["README.md"]).group(1)
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
        assert re.search(r"^NOT RUN +H1a.*H5\s+Why: results/verdicts.md", output, re.M)


def test_what_is_called_wrong_goes_wrong(study, tmp_path):
    """Pairs of docs/footguns.md about running: a changed config, and commands that hide it."""
    change = ["--configfile", "changed.yaml"]
    (study / "changed.yaml").write_text("training: {weight_decay: 0.01}\n")
    folder = tmp_path / "study"
    shutil.copytree(study, folder, symlinks=True)
    assert re.search(r"^train_adapter +2$", dry(folder, *change), re.M)
    assert NOTHING in dry(folder, *change, "--rerun-triggers", "mtime")
    assert "No such file or directory: 'all'" in call(
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
        "probes": dict.fromkeys(("gradients", "drift", "thresholds", "plasticity_task"), False),
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


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", texts.FENCED.sub("", TEXTS[page])):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in texts.slugs(target.read_text(encoding="utf-8")), f"{page}: {link}"


@pytest.mark.parametrize("page", TEXTS)
def test_paths_are_there(page):
    """Files of the repository that a page names, and the trees that it draws."""
    made = {path for text in TEXTS.values() for path in texts.files(text)}
    rooms = r"(?:tests|docs|scripts|rules|slurm|benchmarks|envs)/[\w./+-]*"
    named = {span for span in texts.spans(TEXTS[page]) if re.fullmatch(rooms, span)} - made
    assert {path for path in named if not (ROOT / path).exists()} == set()
    for language, content in texts.blocks(TEXTS[page]):
        if not language and not texts.is_shell(language, content):
            first = [line.split()[0].rstrip(",") for line in content.splitlines() if not line.startswith(" ")]
            assert first and all(list(ROOT.glob(name)) for name in first), first


@pytest.mark.parametrize("page", sorted(set(TEXTS) - {"docs/adding.md"}))
def test_lines_fit_a_terminal(page):
    """All but tables, which have a line a row; and the README is read in three minutes."""
    assert [line for line in TEXTS[page].splitlines() if len(line) >= 120 and line[0] != "|"] == []
    assert page != "README.md" or len(TEXTS[page]) < 6500


def test_the_index_has_every_page():
    linked = set(re.findall(r"\]\(([\w./]+\.md)\)", TEXTS["docs/README.md"]))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert linked - {"../README.md"} == pages


def keys(section) -> set:
    """Keys of a mapping of the config, by its model."""
    return {field.alias or name for name, field in section.model_fields.items()}


def keys_to_document() -> dict:
    """{section of config.yaml or entry of probes: its keys}, from the models, the config and the classes."""
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    result = {name: set() for name in sorted({*CONFIG, *keys(Config)})}
    for name in ("splits", "tokens", "training", "evals", "comparisons", "hardware", "archive"):
        result[name] = keys(sections[name]) | set(CONFIG.get(name, {}))
    for kind in KINDS.values():
        result["models"] |= keys(kind)
    result["domains"] = {"loader"}
    for loader in ("jsonl", "parquet", "hub"):
        options = signature_options(f"implicit_sparsity.corpora.sources.{loader}", "documents")
        result["domains"] |= set(options) - {"seed"}
    result["methods"] = keys(Method)
    result["methods"] |= set(option_fields("implicit_sparsity.methods.lora"))
    for room in ("measurements", "probes"):
        for name in available(room):
            options = option_fields(f"implicit_sparsity.{room}.{name}")
            result[f"probes.{name}"] = {*options, *CONFIG["probes"].get(name, ())}
    return result


@pytest.mark.parametrize(("knob", "keys"), keys_to_document().items(), ids=list(keys_to_document()))
def test_every_knob_is_written_about(knob, keys):
    """Under a heading of its name, or for a probe in the row or sentence that names it."""
    room, _, name = knob.rpartition(".")
    parts = re.split(r"^(##+ .*)$", TEXTS["docs/knobs.md"], flags=re.M)[1:]
    level = "### " if room else "## "
    reported = [
        body
        for title, body in zip(parts[::2], parts[1::2])
        if title.startswith(level) and f"`{name}`" in title
    ]
    if room and not reported:
        reported = [line for line in TEXTS["docs/knobs.md"].splitlines() if f"`{name}`" in line]
    assert reported, f"docs/knobs.md does not tell of {knob}"
    assert {key for key in keys if f"`{key}`" not in "".join(reported)} == set()


def test_no_knob_is_told_of_that_is_gone():
    """The first column of every table: names of sections and probes, and keys."""
    first = re.findall(r"^\| (`[^|]*`) \|", TEXTS["docs/knobs.md"], re.M)
    reported = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    known = {name.rpartition(".")[2] for name in keys_to_document()}.union(*keys_to_document().values())
    assert reported and reported - known == set()
