"""rules/patches.smk: each change to Snakemake is still needed, and does what it says."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import studies

ROOT = Path(__file__).parents[2]
# A plan that later jobs wait for through ancient(), as those that take a GPU wait for the preflight.
BEHIND = """
rule all:
    input: "trained"
rule plan:
    output: "plan"
    params: price=config["price"]
    shell: "touch {output}"
rule train:
    input: ancient("plan")
    output: "trained"
    params: seed=config["seed"]
    shell: "touch {output}"
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small workflow that ran, with the changes (changed.smk) and without them (plain.smk)."""
    folder = tmp_path_factory.mktemp("patches")
    (folder / "plain.smk").write_text(BEHIND)
    (folder / "changed.smk").write_text(f'include: "{ROOT / "rules/patches.smk"}"\n{BEHIND}')
    command = ["-s", "plain.smk", "-c1", "--config", "price=1", "seed=1"]
    studies.reported(studies.snakemake(folder, *command))
    return folder


def planned(folder, snakefile, *config):
    text = studies.reported(studies.snakemake(folder, "-s", snakefile, "-n", "--config", *config))
    return {line.split()[1].rstrip(":") for line in text.splitlines() if line.startswith("rule ")} - {"all"}


def test_reasons_behind_ancient_are_forgotten_by_snakemake_alone(finished):
    both = ("price=2", "seed=2")
    assert planned(finished, "plain.smk", "price=1", "seed=2") == {"train"}
    assert planned(finished, "plain.smk", *both) == {"plan"}, "mended upstream: take the change out"
    assert planned(finished, "changed.smk", *both) == {"plan", "train"}
    assert planned(finished, "changed.smk", "price=2", "seed=1") == {"plan"}


class Counting(dict):
    """Jobs -> group, and how often that was asked."""

    asked = 0

    def get(self, *key):
        self.asked += 1
        return super().get(*key)


def chain(group_size, inputs):
    """What DAG._ready reads, of a group whose jobs follow each other and have ``inputs`` others each."""
    group = tuple(f"job{number}" for number in range(group_size))
    others = [f"other{number}" for number in range(inputs)]
    depends = {job: [*others, *group[:place]] for place, job in enumerate(group)}
    waits = {job: place for place, job in enumerate(group)}  # for members alone: the others are done
    return SimpleNamespace(
        _group=Counting(dict.fromkeys(group, group)),
        _dependencies={job: dict.fromkeys(others, ()) for job, others in depends.items()},
        _n_until_ready=waits,
    )


@pytest.fixture
def ready():
    """DAG._ready of Snakemake, and ours."""
    import snakemake.cli  # first, or Snakemake's own modules import each other in a circle
    from snakemake.dag import DAG

    code, names = ROOT / "rules/patches.smk", {}
    definitions = code.read_text().partition("Workflow.rerun_triggers = ")[0]
    exec(compile(definitions, code, "exec"), names)
    assert snakemake.cli and not hasattr(DAG._ready, "original")
    return DAG._ready, names["group_is_ready"]


def test_readiness_of_a_group_is_the_same_and_snakemake_asks_every_input(ready):
    original, ours = ready
    for waiting, expected in ((0, True), (1, False)):
        dag = chain(3, 50)
        dag._n_until_ready["job1"] += waiting
        assert original(dag, "job0") is expected and ours(dag, "job0") is expected
    assert original(chain(1, 0), "job0") is ours(chain(1, 0), "job0") is True
    alone = chain(1, 5)
    alone._group = Counting()
    assert original(alone, "job0") is ours(alone, "job0") is True
    for function, expected in ((original, 1 + 3 * 1000 + 3), (ours, 1)):
        dag = chain(3, 1000)
        function(dag, "job2")
        assert dag._group.asked == expected, "mended upstream: take the change out"


def test_a_snakemake_that_was_not_tested_is_refused_in_a_line(tmp_path):
    newer = 'import snakemake\nsnakemake.__version__ = "9.99.0"'
    include = f'include: "{ROOT / "rules/patches.smk"}"'
    (tmp_path / "Snakefile").write_text("\n".join([newer, include, BEHIND]))
    command = [sys.executable, "-m", "snakemake", "-n", "--config", "price=1", "seed=1"]
    done = subprocess.run(
        command, cwd=tmp_path, env=studies.environment(), capture_output=True, text=True, timeout=300
    )
    lines = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 1
    assert lines == [
        "rules/patches.smk: found Snakemake 9.99.0, allowed: 9.27.*, which its changes were tested with"
    ]


def test_code_is_no_trigger_as_a_fingerprint_is_one_unless_the_user_chooses(tmp_path):
    """A script that is younger than what it made: Snakemake's own trigger takes that for a change."""
    rule = 'rule all:\n    output: "made"\n    script: "made.py"\n'
    (tmp_path / "made.py").write_text("open(snakemake.output[0], 'w').close()\n")
    (tmp_path / "plain.smk").write_text(rule)
    (tmp_path / "changed.smk").write_text(f'include: "{ROOT / "rules/patches.smk"}"\n{rule}')
    studies.reported(studies.snakemake(tmp_path, "-s", "plain.smk", "-c1"))
    later = (tmp_path / "made").stat().st_mtime + 100
    os.utime(tmp_path / "made.py", (later, later))

    def again(snakefile, *more):
        return "rule all:" in studies.reported(studies.snakemake(tmp_path, "-s", snakefile, "-n", *more))

    assert again("plain.smk"), "mended upstream: take the setting out"
    assert not again("changed.smk") and again("changed.smk", "--rerun-triggers", "code")
