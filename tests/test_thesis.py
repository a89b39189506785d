"""slurm/thesis.yaml: what it asks for, and what `snakemake --profile slurm -n` makes of it."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.workflow import source

ROOT = Path(__file__).parent.parent
THESIS = yaml.safe_load((ROOT / "slurm/thesis.yaml").read_text())
PROFILE = yaml.safe_load((ROOT / "slurm/profile.v9+.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
FETCH = {"fetch_model", "fetch_source"}
ON_GPU = {"measure_domain", "measure_checkpoint", "measure_control", "train_adapter", "evaluate_checkpoint"}
SMALL = f"""
seeds: [0]
orders: {{backward: false}}
controls: false
probed_methods: [lora]
methods:
  lora: {{sweep: {{learning_rate: [1.0e-4]}}}}
{"".join(f"  {name}: false{chr(10)}" for name in THESIS["methods"] if name != "lora")}"""


def sources():
    """(domain, name, entry) of every data set that the overlay adds."""
    return [
        (domain, name, entry)
        for domain, content in THESIS["domains"].items()
        for name, entry in content["sources"].items()
        if entry is not False
    ]


def by_name():
    return {name: entry for _, name, entry in sources()}


def models():
    return [entry for entry in THESIS["models"].values() if entry]


def rungs():
    return THESIS["optional"]["ladder"]["models"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a dry run reads, and no results."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("rules", "scripts", "slurm", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


# A process between this one and the measured one: the kernel counts in a process's peak what its parent held
# at exec, and this one holds torch.
METER = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, used = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""


def dry_run(folder, *arguments):
    """Jobs [(rule, wildcards, resources, group)], processor seconds and peak bytes of one dry run.

    Jobs of one group carry its name and number, and stand together; group is None for a job of its own.
    """
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "-n", "all", *arguments]
    metered = [sys.executable, "-c", METER, *command]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    *lines, last = subprocess.run(metered, cwd=folder, **streams).stdout.splitlines(keepends=True)
    text = "".join(lines)
    status, seconds, peak = json.loads(last)
    assert status == 0, text[-2000:]
    jobs, group = [], None
    heads = re.compile(r"^(?:\[.*\] )?Group job (\S+) \(.*|^( *)rule (\w+):$", re.M)
    result = list(heads.finditer(text))
    for number, head in enumerate(result):
        if head[1]:
            group = (head[1], number)
            continue
        end = result[number + 1].start() if number + 1 < len(result) else len(text)
        parts = dict(re.findall(r"^ +(wildcards|resources): (.*)$", text[head.end() : end], re.M))
        wildcards, resources = (
            dict(pair.split("=", 1) for pair in parts.get(name, "").split(", ") if pair)
            for name in ("wildcards", "resources")
        )
        jobs.append((head[3], wildcards, resources, group if head[2] else None))
    return jobs, seconds, peak


@pytest.fixture(scope="module")
def whole(clone):
    return dry_run(clone)


def count(jobs):
    """Jobs of each rule; those of measurements by its name."""
    return Counter(wildcards.get("measurement", rule) for rule, wildcards, *_ in jobs)


def test_every_job_of_the_study_is_listed(whole):
    jobs, seconds, peak = whole
    runs = {"qwen_27b": 18 * 2 * 2 * 3, "qwen_35b_a3b": 20 * 2 * 2 * 3}  # families, rates, orders, seeds
    probed = 3 * 2 * 2 * 3  # of each model: the three methods of the claims
    expected = {
        "fetch_model": 2,
        "fetch_source": 10,
        "split_domain": 5,
        "tokenize_domain": 2 * 5,
        "train_adapter": sum(runs.values()) * 4,
        "activations": 2 * (probed * 4 + 1) * 4,
        "evaluate_checkpoint": sum(runs.values()) * 4 + 2,
    }
    result = count(jobs)
    print(f"{len(jobs)} jobs in {seconds:.1f} s of processor time, {peak / 1e6:.0f} MB")
    assert {rule: result[rule] for rule in expected} == expected
    assert peak < 1e9


def test_gpu_rules_ask_for_a100_and_everything_else_does_not(whole):
    jobs, *_ = whole
    for rule, _, resources, _ in jobs:
        assert resources["slurm_partition"] == ("a100" if rule in ON_GPU else "cpu"), rule
        if rule in ON_GPU:
            assert "gpu" in resources.get("gres", "") or int(resources.get("gpu", 0)) > 0
            assert int(resources["mem_mb"]) >= 90_000  # weights pass through the host's memory


@pytest.fixture(scope="module")
def local(clone):
    """Rules whose jobs run where Snakemake runs; a dry run does not say."""
    (clone / "local.smk").write_text('include: "Snakefile"\nprint("local:", *workflow._localrules)\n')
    command = [sys.executable, "-m", "snakemake", "-s", "local.smk", "--list"]
    command += ["--configfile", "slurm/thesis.yaml"]
    listed = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout
    return set(re.search("^local: (.*)$", listed, re.M)[1].split())


def test_downloads_stay_on_the_submitting_node(whole, local):
    jobs, *_ = whole
    fetched = {w.get("model") or w["source"] for rule, w, *_ in jobs if rule in FETCH}
    assert fetched == {name for name, entry in THESIS["models"].items() if entry} | set(by_name())
    assert local >= FETCH
    assert not local & ON_GPU


def test_a_submission_is_a_checkpoint(whole, local):
    """sbatch is called once a group and once for every other job that is not local."""
    jobs, *_ = whole
    groups = {group for *_, group in jobs if group}
    alone = [rule for rule, *_, group in jobs if not group and rule not in local]
    stages = count(jobs)["train_adapter"]
    pairs = sum(1 for entry in THESIS["models"].values() if entry) * len(THESIS["domains"])
    submissions = len(groups) + len(alone)
    print(f"{submissions} submissions for {len(jobs)} jobs, {stages} stages")
    assert submissions < stages + 2 * pairs, Counter(alone)
    for rule, wildcards, _, group in jobs:
        if rule in ("evaluate_checkpoint", "measure_domain", "measure_checkpoint"):
            assert group[0] == f"{wildcards['model']}.{wildcards['checkpoint']}"
        if rule == "train_adapter":
            assert group[0] == "{model}.{method}.{order}.seed{seed}.stage{stage}".format(**wildcards)


def test_the_last_attempt_of_a_submission_fits_its_partition(whole):
    """The minutes of a group's jobs add up, and every attempt asks for them once more."""
    jobs, *_ = whole
    minutes = Counter()
    for rule, _, resources, group in jobs:
        minutes[group or rule, resources["slurm_partition"]] += int(resources["runtime"]) if group else 0
    limits = yaml.safe_load((ROOT / "slurm/partitions.yaml").read_text())["partitions"]
    for (group, partition), asked in minutes.items():
        assert asked * (1 + PROFILE["retries"]) <= limits[partition]["max_runtime"], group


def test_jobs_of_a_group_ask_for_what_one_of_them_needs():
    """Snakemake adds up what jobs of a group could use side by side: none, where each takes all cores."""
    assert {rule: PROFILE["set-threads"][rule] for rule in PROFILE["groups"]} == dict.fromkeys(
        PROFILE["groups"], PROFILE["cores"]
    )
    assert set(PROFILE["group-components"]) >= {
        group for group in PROFILE["groups"].values() if not group.startswith("corpora.")
    }
    texts = ("slurm_partition", "gpu_model", "slurm_extra")
    asked = {tuple(PROFILE["set-resources"][rule][key] for key in texts) for rule in ON_GPU}
    assert len(asked) == 1, "texts differ within a group"


def test_the_small_study_runs_on_the_cluster(clone):
    jobs, *_ = dry_run(clone, "--configfile", "config.yaml")
    assert {wildcards["model"] for _, wildcards, *_ in jobs if "model" in wildcards} == {"smollm2"}


def test_the_users_own_file_and_the_ladder_go_on_top(clone):
    """The ladder is measured and not trained; a later file still changes what the thesis says."""
    (clone / "mine.yaml").write_text(SMALL)
    arguments = ("--configfile", "slurm/thesis.yaml", "mine.yaml", "--config", "with=ladder")
    jobs, *_ = dry_run(clone, *arguments)
    trained = Counter(wildcards["model"] for rule, wildcards, *_ in jobs if rule == "train_adapter")
    assert trained == {"qwen_27b": 4, "qwen_35b_a3b": 4}
    measured = {
        wildcards["model"] for rule, wildcards, *_ in jobs if wildcards.get("measurement") == "activations"
    }
    assert measured == set(trained) | set(rungs())


def test_every_revision_is_a_commit():
    entries = [*models(), *rungs().values(), *(entry for *_, entry in sources())]
    assert len(entries) == 2 + 4 + 10
    for entry in entries:
        assert re.fullmatch("[0-9a-f]{40}", entry["revision"])
        assert len(set(entry["revision"])) > 4, entry["repo"]  # a placeholder is no commit
    by_repository = {entry["repo"]: entry["revision"] for entry in entries}
    assert len(by_repository) == len(set(by_repository.values())) == len(entries)


def test_two_licensed_hub_sets_a_domain_and_none_of_the_small_study():
    result = Counter(domain for domain, *_ in sources())
    assert result == {"code": 2, "math": 2, "medical": 2, "general": 2, "knowledge": 2}
    assert all(entry["loader"] == "hub" and entry["licence"] for *_, entry in sources())
    for domain, content in CONFIG["domains"].items():
        for name, small in content["sources"].items():
            entry = THESIS["domains"][domain]["sources"][name]
            assert entry is False or set(small) < set(entry), "its entry would be mixed with the small one"


def test_two_orders_three_seeds_and_a_front_of_every_method():
    assert sorted(order[-1] == "general" for order in THESIS["orders"].values()) == [False, True]
    trained = set(THESIS["domains"]) - {THESIS["reference"]}
    assert all(sorted(order) == sorted(trained) for order in THESIS["orders"].values())
    assert len(set(THESIS["seeds"])) == 3
    whole = THESIS["optional"]["whole"]["methods"]
    assert set(THESIS["methods"]) | set(whole) <= set(source.available("methods"))
    for entry in (*THESIS["methods"].values(), *whole.values()):
        assert len(entry["sweep"]["learning_rate"]) == 2
    assert THESIS["controls"] is True and set(THESIS["probed_methods"]) == set(CONFIG["methods"])


def test_budgets_fit_each_other():
    """A stage sees each training document once; limits leave a third for what deduplication removes."""
    splits, training = CONFIG["splits"] | THESIS["splits"], THESIS["training"]
    assert training["steps"] * training["batch_size"] == splits["train"]
    wanted = splits["train"] + 2 * splits["probe"] + splits["select"] + splits["eval"]
    for domain in THESIS["domains"]:
        read = sum(entry["limit"] for name, _, entry in sources() if name == domain)
        assert read >= 1.5 * wanted
    assert THESIS["probes"]["activations"]["top_k"] == [0.001, 0.01, 0.05, 0.1]


# One row in the columns of each set as its card lists them, and what the overlay's fields make of it.
ROWS = {
    "commits": (
        {
            "commit": "e9053",
            "old_file": "a.py",
            "new_file": "a.py",
            "old_contents": "def f():\n    pass\n",
            "new_contents": "def f():\n    return 1\n",
            "subject": "Return one",
            "message": "Return one\n",
            "lang": "Python",
            "license": "mit",
            "repos": "a/b,c/b",
        },
        {
            "id": "e9053",
            "group": "a/b,c/b",
            "prompt": "Return one\ndef f():\n    pass",
            "completion": "def f():\n    return 1\n",
        },
    ),
    "oss_instruct": (
        {
            "lang": "python",
            "raw_index": 1,
            "index": 2,
            "seed": "x",
            "openai_fingerprint": "f",
            "problem": "Add.",
            "solution": "a + b",
        },
        {"prompt": "Add.", "completion": "a + b"},
    ),
    "gsm8k": (
        {"question": "Two and 1,000?", "answer": "2 + 1000 = <<2+1000=1002>>1002\n#### 1,002"},
        {"prompt": "Two and 1,000?", "answer": "1,002"},
    ),
    "competition": (
        {"problem": "$1+1$?", "level": "Level 1", "solution": "$\\boxed{2}$", "type": "Algebra"},
        {"prompt": "$1+1$?", "completion": "$\\boxed{2}$"},
    ),
    "medmcqa": (
        {
            "id": "e9ad",
            "question": "Which?",
            "opa": "w",
            "opb": "x",
            "opc": "y",
            "opd": "z",
            "cop": 2,
            "choice_type": "single",
            "exp": "Because.",
            "subject_name": "Anatomy",
            "topic_name": None,
        },
        {
            "id": "e9ad",
            "prompt": "Which?\nA. w\nB. x\nC. y\nD. z",
            "completion": "Because.",
            "choices": ["w", "x", "y", "z"],
            "answer": "y",
        },
    ),
    "pubmedqa": (
        {
            "pubid": 21645374,
            "question": "Does it?",
            "context": {"contexts": ["Background.", "Results."], "labels": ["B", "R"], "meshes": ["M"]},
            "long_answer": "It does.",
            "final_decision": "yes",
        },
        {"id": "21645374", "prompt": "Background.\nResults.\nDoes it?", "completion": "It does."},
    ),
    "dolly": (
        {"instruction": "When?", "context": "In 2000.", "response": "2000", "category": "closed_qa"},
        {"prompt": "When?\nIn 2000.", "completion": "2000"},
    ),
    "helpsteer2": (
        {"prompt": "c#", "response": "A language.", "helpfulness": 3, "correctness": 4, "coherence": 4}
        | {"complexity": 2, "verbosity": 1},
        {"group": "c#", "prompt": "c#", "completion": "A language."},
    ),
    "nq_open": (
        {"question": "who wrote it", "answer": ["A. Bee", "Ann Bee"]},
        {"prompt": "who wrote it", "completion": "A. Bee\nAnn Bee"},
    ),
    "commonsense_qa": (
        {"id": "1afa", "question": "Where?", "question_concept": "fox", "answerKey": "B"}
        | {"choices": {"label": ["A", "B", "C"], "text": ["pen", "den", "sea"]}},
        {"id": "1afa", "group": "fox", "prompt": "Where?", "completion": "den", "answer": "den"}
        | {"choices": ["pen", "den", "sea"]},
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_fields_fit_the_columns_of_the_set(name):
    entry = by_name()[name]
    row, expected = ROWS[name]
    empty = {key: None if isinstance(value, str) else value for key, value in row.items()}
    options = {key: entry[key] for key in ("fields", "licence", "on_bad", "max_chars")}
    options["answer_pattern"] = entry.get("answer_pattern", "")
    result = list(table([(1, row), (2, empty)], name, **options))
    (retained,) = (item for item in result if not isinstance(item, Dropped))
    assert {key: retained[key] for key in expected} == expected
    assert retained["licence"] == entry["licence"]
    assert len(result) == 2  # the row without texts was dropped and counted


def test_every_set_has_a_row():
    assert set(ROWS) == set(by_name())
