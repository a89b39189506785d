"""What is asked for on the command line: what the study does not have is one line, and nothing is planned."""

import shutil
from pathlib import Path

import pytest
import studies

from implicit_sparsity.workflow import targets
from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.load import load

ROOT = Path(__file__).parents[2]
RUN = "lora.forward.seed0.stage"


@pytest.fixture(scope="module")
def study():
    return load([ROOT / "config.yaml"])


def wildcards(**given):
    """Of a checkpoint's files, by the parts of its name."""
    method, order, seed, stage = given.pop("checkpoint").split(".")
    return given | {"method": method, "order": order, "seed": seed[4:], "stage": stage[5:]}


HAS = [
    {"model": "smollm2", "checkpoint": f"{RUN}4", "domain": "code"},
    {"model": "smollm2", "checkpoint": "base"},
    {"domain": "code", "source": "human_eval"},
    {"figure": "overview"},
    {"model": "smollm2", "measurement": "activations", "checkpoint": "base", "domain": "math"},
    wildcards(model="smollm2", checkpoint=f"{RUN}1"),
    {},
]


@pytest.mark.parametrize("asked", HAS, ids=map(str, HAS))
def test_what_the_study_has_is_taken(study, asked):
    targets.check("file", asked, study)


LACKS = [
    (
        {"model": "smolm2", "checkpoint": "base"},
        "'smolm2', which is no model, allowed: smollm2; did you mean smollm2?",
    ),
    ({"domain": "maths"}, "'maths', which is no domain"),
    ({"domain": "code", "source": "human_evl"}, "'human_evl', which is no source of code"),
    ({"figure": "overvieww"}, "'overvieww', which is no figure"),
    ({"model": "smollm2", "checkpoint": "lora.forward.seed7.stage1"}, f"did you mean {RUN}1?"),
    ({"model": "smollm2", "checkpoint": f"{RUN}9"}, "which is no checkpoint of smollm2, allowed: base, "),
    (wildcards(model="smollm2", checkpoint=f"{RUN}9"), f"'{RUN}9', which is no checkpoint of smollm2"),
    (wildcards(model="smollm2", checkpoint="lroa.forward.seed0.stage1"), "'lroa', which is no method"),
    (
        {"model": "smollm2", "measurement": "activations", "checkpoint": "base", "domain": "knowledge"},
        "'knowledge', which is no domain that activations are measured on",
    ),
    (
        {"model": "smollm2", "measurement": "drift", "checkpoint": "base"},
        "'base', which is no checkpoint of smollm2 that drift are measured of",
    ),
]


@pytest.mark.parametrize(("asked", "words"), LACKS, ids=[words for _, words in LACKS])
def test_what_it_lacks_is_told_with_the_nearest(study, asked, words):
    with pytest.raises(ConfigError) as error:
        targets.check("results/file", asked, study)
    assert str(error.value).startswith("results/file: found ") and words in str(error.value)


def test_a_few_of_many_names_are_told():
    with pytest.raises(ConfigError) as error:
        targets.refuse("file", "x", [f"n{number}" for number in range(9)], "letter")
    assert str(error.value) == "file: found 'x', which is no letter, allowed: n0, n1, n2, n3 and 5 more"
    with pytest.raises(ConfigError, match=r"allowed: none, the study has no letter$"):
        targets.refuse("file", "x", [], "letter")


def test_the_wildcards_of_a_file_that_no_rule_takes():
    patterns = ["a/fixed.json", "a/{model}/{checkpoint}.json", "a/{model}"]
    assert targets.near_miss("a/X/y.z.json", patterns) == {"model": "X", "checkpoint": "y.z"}
    assert targets.near_miss("a/m", patterns) == {"model": "m"}
    assert (
        targets.near_miss("b/m", patterns) is None and targets.near_miss("a/fixed.json", patterns[:2]) is None
    )


def test_a_name_that_is_nothing_is_told_with_the_nearest():
    with pytest.raises(ConfigError) as error:
        targets.refuse_unmade("alll", ["plan", "all"], ["results/x.csv"])
    found = "neither a rule of the study nor a file that it makes"
    allowed = "all, plan, or a file that a rule makes; did you mean all?"
    assert str(error.value) == f"alll: found {found}, allowed: {allowed}"


def test_a_target_is_relative_to_the_folder(monkeypatch):
    monkeypatch.setenv("PWD", "/link/study")  # the shell's name of the folder
    given = ("a/b", "./a//b", "/data/study/a/b", "/link/study/a/b", "/link/study/a/", "/data/a", "all", "")
    expected = ["a/b", "a/b", "a/b", "a/b", "a", "/data/a", "all", ""]
    assert [targets.relative(target, "/data/study") for target in given] == expected


@pytest.mark.parametrize("empty", ["", " "])
def test_a_target_of_nothing(empty):
    with pytest.raises(ConfigError) as error:
        targets.refuse_empty(empty)
    assert str(error.value) == f"targets: found {empty!r}, allowed: a rule, or a file that a rule makes"


def test_snakemake_says_every_one_in_a_line_and_plans_nothing(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    asked = ["results/evals/mine/base/code.json", f"results/adapters/smollm2/{RUN}5", "train_adapter"]
    asked += [
        "results/tables/scroes.csv",
        str(tmp_path / "results/figures/overview.png"),
        "all",
        "",
        "/nosuch",
    ]
    asked += ["--until", "nosuch"]
    done = studies.snakemake(tmp_path, "-s", ROOT / "Snakefile", "-n", *asked)
    told = dict(line.split(": ", 1) for line in done.stderr.splitlines())
    assert done.returncode == 1 and done.stdout == ""
    assert {place: words.partition(", allowed")[0] for place, words in told.items()} == {
        "/nosuch": "found neither a rule of the study nor a file that it makes",
        "nosuch": "found neither a rule of the study nor a file that it makes",
        f"results/adapters/smollm2/{RUN}5": f"found '{RUN}5', which is no checkpoint of smollm2",
        "results/evals/mine/base/code.json": "found 'mine', which is no model",
        "results/tables/scroes.csv": "found neither a rule of the study nor a file that it makes",
        "targets": "found ''",
        "train_adapter": "found a rule of many files",
    }
    assert told["results/tables/scroes.csv"].endswith("did you mean results/tables/scores.csv?")
