"""What a job finds in its environment: what it needs, and nothing that the user's shell happens to hold.

A notebook leaves a drawing backend there, a launcher its ranks, an earlier `accelerate launch` a precision.
The Snakefile cleans its own process, from which local jobs and submissions inherit; a job cleans its own as
well, for a cluster's scripts may add to it.
"""

import re

# Beginnings of names. By these a process takes itself for one of several, and waits for the others:
RANKS = (
    "WORLD_SIZE",
    "RANK",
    "LOCAL_RANK",
    "LOCAL_WORLD",
    "NODE_RANK",
    "CROSS_",
    "GROUP_",
    "ROLE_",
    "MASTER_",
)
LAUNCHERS = (
    "TORCHELASTIC_",
    "PET_",
    "RDZV_",
    "FORK_LAUNCHED",
    "ACCELERATE_",
    "FSDP_",
    "MEGATRON_",
    "DEEPSPEED_",
)
MPI = ("OMPI_", "PMI_", "PMIX_", "MV2_", "MPI_LOCAL", "SMDATAPARALLEL_", "PARALLELISM_", "XLA_", "PJRT_")
# Python's own that change what a program does; PYTHONPATH and the place of bytecode are the user's
PYTHON = (
    "PYTHONWARNINGS",
    "PYTHONOPTIMIZE",
    "PYTHONINSPECT",
    "PYTHONDEVMODE",
    "PYTHONIOENC",
    "PYTHONVERBOSE",
)
# numbers would be others, or weights be read as pickles, and no record would say so
NUMBERS = ("NVIDIA_TF32_", "TORCH_ALLOW_TF32_", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "USE_TORCH_XLA")
# torch or a progress bar fails at a value that it does not know, or compiles and reports otherwise
IMPORTS = (
    "TQDM_",
    "TORCH_DISTRIBUTED_DEBUG",
    "TORCH_LOGS",
    "TORCH_COMPILE",
    "TORCHDYNAMO_",
    "TORCHINDUCTOR_",
)
MESSAGES_AND_DRAWING = ("TRANSFORMERS_VERBOSITY", "HF_DEBUG", "HF_HUB_VERBOSITY", "MATPLOTLIBRC", "QT_API")
UNWANTED = (*RANKS, *LAUNCHERS, *MPI, *PYTHON, *NUMBERS, *IMPORTS, *MESSAGES_AND_DRAWING)
OWN = ("TQDM_DISABLE", "TORCHINDUCTOR_CACHE_DIR")  # that begin so and stay: the Makefile's, and a place
SECONDS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")  # the user's where it is a number
SET = {
    "MPLBACKEND": "agg",  # figures are files
    "TOKENIZERS_PARALLELISM": "false",
    "LC_ALL": "C",  # of numbers in text and of sorting; there on every machine
    "PYTHONUTF8": "1",  # of files and names all the same
}
THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB", "BLIS", "RAYON")


def clean(environment) -> None:
    """Take out of ``environment`` (``os.environ`` or a mapping like it) what is not for a job; put in what
    is."""
    for name in [name for name, value in environment.items() if _is_unwanted(name, value)]:
        del environment[name]
    environment.update(SET)


def _is_unwanted(name: str, value: str) -> bool:
    if name in SECONDS:  # huggingface_hub reads a whole number, or fails as it is imported
        return not re.fullmatch(r"\s*\d+\s*", value)
    return name.startswith(UNWANTED) and name not in OWN


def of_job(environment, threads: int, online: bool) -> None:
    """The same for one job: its threads, and no network unless it is there to fetch something."""
    clean(environment)
    environment.update({f"{name}_NUM_THREADS": str(threads) for name in THREADS})
    if not online:
        environment.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"})
