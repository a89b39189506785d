"""Of what a user's shell holds, a job sees nothing that would change what it does."""

import json
import os
import subprocess
import sys
from pathlib import Path

from implicit_sparsity.workflow import environment

SCRIPTS = Path(environment.__file__).parents[2]
LEFT = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "WORLD_SIZE": "8",
    "RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "4",
    "PMI_SIZE": "2",
    "ACCELERATE_MIXED_PRECISION": "fp16",
    "NVIDIA_TF32_OVERRIDE": "1",
    "LC_ALL": "de_DE.ISO-8859-1",
    "OPENBLAS_NUM_THREADS": "64",
}
JOB = """
import os
from types import SimpleNamespace
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards
from implicit_sparsity.workflow import job

def work():
    import json
    import matplotlib
    from accelerate import PartialState
    state = PartialState(cpu=True)
    print(json.dumps([matplotlib.get_backend(), state.num_processes, dict(os.environ)]))

snakemake = SimpleNamespace(rule="work", input=InputFiles(), output=OutputFiles(), wildcards=Wildcards(),
    params=Params(), log=Log(toclone=["job.log"]), threads=2)
job.run(work, snakemake)
"""


def test_a_job_is_one_process_and_draws_files_whatever_the_shell_holds(tmp_path):
    """PartialState asks for ranks of torchrun, MPI and SLURM, and would wait for the others."""
    given = os.environ | LEFT | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", JOB]
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    backend, processes, found = json.loads(done.stdout)
    assert (backend.lower(), processes) == ("agg", 1)
    assert found["OPENBLAS_NUM_THREADS"] == found["OMP_NUM_THREADS"] == "2"
    assert found["HF_HUB_OFFLINE"] == "1" and found["LC_ALL"] == "C"
    assert not {"WORLD_SIZE", "RANK", "PMI_SIZE", "ACCELERATE_MIXED_PRECISION", "NVIDIA_TF32_OVERRIDE"} & set(
        found
    )


def test_what_is_the_users_stays_and_a_fetching_job_is_online():
    own = {
        "HOME": "/home/u",
        "HF_TOKEN": "t",
        "https_proxy": "p",
        "CUDA_VISIBLE_DEVICES": "1",
        "TMPDIR": "/s",
    }
    given = own | {"PYTHONWARNINGS": "error", "TORCHELASTIC_RUN_ID": "x"}
    environment.of_job(given, threads=1, online=True)
    assert own.items() <= given.items()
    assert not {"PYTHONWARNINGS", "TORCHELASTIC_RUN_ID", "HF_HUB_OFFLINE"} & set(given)


def test_what_a_library_would_fail_at_as_it_is_imported_goes():
    own = {"TQDM_DISABLE": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "30", "TORCHINDUCTOR_CACHE_DIR": "/t"}
    broken = dict.fromkeys(
        ("TORCH_LOGS", "TORCH_DISTRIBUTED_DEBUG", "TORCHINDUCTOR_MAX_AUTOTUNE"), "nonsense"
    )
    broken |= {"TORCHDYNAMO_DISABLE": "1", "TORCH_COMPILE_DEBUG": "1", "TQDM_MININTERVAL": "abc"}
    given = own | broken | {"HF_HUB_ETAG_TIMEOUT": "abc"}
    environment.clean(given)
    assert given == own | environment.SET
