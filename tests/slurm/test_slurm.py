"""`snakemake --profile slurm all` on a real SLURM cluster of one node, and jobs that are lost there.

What ran where is read from SLURM's own records (scontrol), never from Snakemake's log alone.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import studies

LAB = Path("/var/lib/forgetting-slurm-lab")
HERE = Path(__file__).parent
NEEDS = {"root": not os.geteuid(), "Debian's apt-get": shutil.which("apt-get"), "bash": shutil.which("bash")}
NEEDS["pkill"] = shutil.which("pkill")
WHY_NOT = ", ".join(f"a SLURM cluster for tests needs {need}" for need, there in NEEDS.items() if not there)
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

# What a test cannot wait for, or does not have: a minute's polls, the database, more than one core.
QUICK = ["--cores", "1", "--latency-wait", "10", "--max-status-checks-per-second", "2"]
QUICK += ["--slurm-init-seconds-before-status-checks", "1", "--slurm-status-command", "squeue"]
CPU_GROUPS = ("corpora.", "tokens.", "tables", "compare_methods")
LIMIT = 900  # seconds of one run; 130 on two quiet cores
LAST = "nano_dense.lora.forward.seed0.stage2"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Environment in which the commands of the test cluster work."""
    script = ["timeout", "-k", "5", "240", "bash", str(HERE / "up.sh")]
    up = subprocess.run(script, capture_output=True, text=True)
    if up.returncode:
        subprocess.run(["bash", str(HERE / "down.sh")], timeout=60)
        pytest.skip(f"no cluster could be started: {up.stderr.strip().splitlines()[-1:]}")
    path = f"{LAB}/bin:{os.environ['PATH']}"
    yield studies.environment(SLURM_CONF=f"{LAB}/slurm.conf", PATH=path, PYTHONPATH=str(HERE / "quick"))
    subprocess.run(["timeout", "-k", "5", "60", "bash", str(HERE / "down.sh")])
    # a job of a lost node is nobody's: no daemon ends it
    lost = f"{tmp_path_factory.getbasetemp()}/.*slurm-jobstep"
    subprocess.run(["pkill", "-KILL", "-f", lost], stderr=subprocess.DEVNULL)


def slurm(cluster, *command) -> str:
    done = subprocess.run(command, env=cluster, capture_output=True, text=True, timeout=30)
    return done.stdout


def records(cluster) -> list[dict]:
    """What SLURM says of every job: JobState, Partition, TRES, Comment, Requeue, ..."""
    lines = slurm(cluster, "scontrol", "-o", "show", "job").splitlines()
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if line.startswith("JobId=")]


def start(cluster, folder, *arguments):
    """Snakemake under the profile, in a process group of its own, its words in run.log."""
    command = ["timeout", "-k", "10", str(LIMIT), *studies.command("--profile", "slurm", *arguments, *QUICK)]
    with open(folder / "run.log", "w") as words:
        return subprocess.Popen(
            command, cwd=folder, env=cluster, stdout=words, stderr=subprocess.STDOUT, start_new_session=True
        )


def finish(process, folder) -> str:
    try:
        status = process.wait(LIMIT + 15)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    reported = (folder / "run.log").read_text()
    assert status == 0, reported[-3000:]
    return reported


def wait_for(question, seconds=500):
    """The first true answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := question():
            return result
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} s in vain")


@pytest.fixture(scope="module")
def study(cluster, tmp_path_factory):
    """(folder, what Snakemake said, SLURM's records) of a study that ran through."""
    folder = tmp_path_factory.mktemp("slurm") / "repository"
    studies.trimmed_study(folder, measured=("activations", "activation_sparsity"), training=TRAINING)
    before = {job["JobId"] for job in records(cluster)}
    reported = finish(start(cluster, folder, "all"), folder)
    return folder, reported, [job for job in records(cluster) if job["JobId"] not in before]


TRAINING = {"steps": 48, "batch_size": 2, "warmup": 1, "checkpoint_every": 3}


def of_gpu(job) -> bool:
    group = job["Comment"].removeprefix("rule_")
    return not group.startswith(CPU_GROUPS)


def test_gpu_rules_run_in_the_a100_partition_with_a_gpu_and_cpu_rules_do_not(study):
    _, reported, jobs = study
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    comments = " ".join(job["Comment"] for job in jobs)
    for group in ("corpora.code", "tokens.nano_dense", "nano_dense.base", LAST, "tables"):
        assert f"rule_{group}_" in comments
    for job in jobs:
        if of_gpu(job):
            assert job["Partition"] == "a100" and job["TresPerJob"] == "gres:gpu:a100:1", job["Comment"]
        else:
            assert job["Partition"] == "cpu" and "TresPerJob" not in job, job["Comment"]
    assert sum(map(of_gpu, jobs)) == 4, "prepare_model, base and two stages"
    assert len(jobs) == len(re.findall("has been submitted with SLURM jobid", reported)) == 9


def test_every_artifact_is_there_and_nothing_is_left_to_do(study, cluster):
    folder, *_ = study
    assert "Nothing to be done" in studies.run(folder, "-n", "all")
    assert (folder / "results/figures/sparsity_by_layer.pdf").stat().st_size > 0
    assert not (folder / "results/.output_cache").exists(), (
        "what failed groups had finished is kept no longer"
    )
    assert not list((folder / "results").rglob(".partial-*"))


@pytest.fixture
def again(study, tmp_path):
    """The finished study in another folder, as it was before the last stage of training."""
    folder = tmp_path / "repository"
    shutil.copytree(study[0], folder, symlinks=True, ignore=shutil.ignore_patterns("locks", "log"))
    results = folder / "results"  # a lost file that nothing is to be made from would not be missed
    shutil.rmtree(results / "adapters/nano_dense/lora.forward.seed0.stage2")
    for name in ("tables", "figures", "evals/nano_dense/lora.forward.seed0.stage2"):
        shutil.rmtree(results / name)
    return folder


def running(cluster, before):
    """The number of a new job that has begun to train, once it has saved a restart point."""
    for job in records(cluster):
        if job["JobId"] not in before and LAST in job["Comment"] and job["JobState"] == "RUNNING":
            return job["JobId"]
    return None


def saved(folder) -> int:
    """Steps of the newest restart point."""
    points = (folder / "results/adapters/nano_dense").glob(".partial-*/*/complete")
    return max((int(path.parent.name.split("-")[1]) for path in points), default=0)


def same_artifacts(folder, other):
    ours, theirs = studies.artifacts(folder), studies.artifacts(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_warned_cancelled_and_lost_with_its_node(study, again, cluster):
    """Three attempts of a stage end in three ways; the fourth goes on where they were, to the same bytes."""
    node = slurm(cluster, "sinfo", "-h", "-o", "%n").split()[0]
    before = {job["JobId"] for job in records(cluster)}
    process = start(cluster, again, "all", "--retries", "5")
    ends = {
        # what --signal=TERM@120 sends before the time limit: to the processes, not to the batch script
        "FAILED": lambda number: slurm(cluster, "scancel", "--signal=TERM", number),
        "CANCELLED": lambda number: slurm(cluster, "scancel", number),
        "NODE_FAIL": lambda number: slurm(cluster, "scontrol", "update", *node_down(node)),
    }
    attempts, at = {}, 0
    for state, end in ends.items():
        number = wait_for(lambda: running(cluster, {*before, *attempts.values()}))
        wait_for(lambda at=at: saved(again) > at)
        end(number)
        attempts[state] = number
        wait_for(lambda number=number: number not in slurm(cluster, "squeue", "-h", "-o", "%i").split())
        assert saved(again) >= at, "a restart point was lost"
        at = saved(again)
    slurm(cluster, "scontrol", "update", f"NodeName={node}", "State=RESUME")
    reported = finish(process, again)

    states = {job["JobId"]: job["JobState"] for job in records(cluster)}
    assert {state: states[number] for state, number in attempts.items()} == {state: state for state in ends}
    log = (again / "results/logs/train_adapter/nano_dense.lora.forward.seed0.stage2.log").read_text()
    # a job on a lost node saves once more after SLURM has forgotten it
    assert int(re.search(r"continuing from .*-(\d+)", log)[1]) >= at > 0
    assert studies.finished_jobs(reported).count("train_adapter") == 1
    assert not {"prepare_model", "tokenize_domain", "measure_domain"} & set(studies.finished_jobs(reported))
    same_artifacts(again, study[0])


def node_down(node):
    return f"NodeName={node}", "State=DOWN", "Reason=test"


def test_preempted_under_its_own_number_and_trained_once_though_its_evaluation_fails(study, again, cluster):
    """With slurm-requeue a dearer job takes the GPUs, SLURM puts ours back, Snakemake waits for it. Then its
    evaluation fails: of the submission Snakemake removes all, and the next attempt finds the stage as it was
    finished."""
    before = {job["JobId"] for job in records(cluster)}
    profile = again / "slurm/profile.v9+.yaml"
    profile.write_text(profile.read_text().replace("slurm-no-requeue: true", "slurm-requeue: true"))
    stage = again / "results/adapters/nano_dense/lora.forward.seed0.stage2"
    scores = again / "results/evals/nano_dense/lora.forward.seed0.stage2"
    scores.touch()  # a file where the folder of its scores has to be
    process = start(cluster, again, "all", "--retries", "1")
    number = wait_for(lambda: running(cluster, before))
    wait_for(lambda: saved(again) > 0)
    urgent = ("-p", "urgent", "--gpus=a100:2", "-t", "1", "--output=/dev/null", "--wrap=sleep 1")
    slurm(cluster, "sbatch", *urgent)
    wait_for(lambda: started_again(cluster, number))
    wait_for(lambda: "Trying to restart" in (again / "run.log").read_text())
    assert not stage.exists() and record_of(cluster, number)["Restarts"] == "1"
    scores.unlink()
    reported = finish(process, again)
    assert len(re.findall("has been submitted with SLURM jobid", reported)) == 4, (
        "twice the stage, the tables and the comparison"
    )
    log = (again / "results/logs/train_adapter/nano_dense.lora.forward.seed0.stage2.log").read_text()
    assert "taken from" in log
    same_artifacts(again, study[0])


def started_again(cluster, number) -> bool:
    """Whether SLURM has put the job back and started it: at once, where it would wait for two minutes."""
    job = record_of(cluster, number)
    if job["JobState"] == "PENDING":
        slurm(cluster, "scontrol", "update", f"JobId={number}", "StartTime=now")
    return job["Restarts"] == "1" and job["JobState"] == "RUNNING"


def record_of(cluster, number) -> dict:
    return next(job for job in records(cluster) if job["JobId"] == number)
