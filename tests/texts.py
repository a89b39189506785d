"""README.md and docs/ as material for tests: blocks, commands, headings; what is done about each command."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
PROGRAMS = ("make", "snakemake", "python", "python3", "git", "cd", "tmux", "rsync", "tar", "cp", "pip", "hf")
PROGRAMS += ("sinfo", "squeue", "sacctmgr", "scancel", "sha256sum", "rocrate-validator")
NOTHING = "Nothing to be done"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of every fenced block."""
    return FENCED.findall(text)


def spans(text: str) -> list[str]:
    """What stands in backticks outside blocks, line breaks as blanks."""
    result = [span for part in FENCED.sub("", text).split("\n\n") for span in re.findall(r"`([^`]+)`", part)]
    return [" ".join(span.split()) for span in result]


def is_command(text: str) -> bool:
    first = text.split()[0]
    return first in PROGRAMS or first.startswith((".venv/bin/", "PYTHONPATH=", "--"))


def is_shell(language: str, content: str) -> bool:
    return language in ("bash", "sh") or (not language and is_command(content))


def lines(text: str) -> list[str]:
    """Commands of the shell blocks, without their comments."""
    shell = [content for language, content in blocks(text) if is_shell(language, content)]
    result = [re.sub(r"(^|\s+)# .*", "", line).strip() for content in shell for line in content.splitlines()]
    return [part for line in result if line for part in line.split(" && ")]


def commands(text: str) -> list[str]:
    """Those, and spans that begin with a program or are options of one."""
    return lines(text) + [span for span in spans(text) if is_command(span)]


def slugs(text: str) -> set[str]:
    """Anchors of the headings."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.M)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def files(text: str) -> dict[str, str]:
    """{path: content} of the files that the text gives whole: a block after a paragraph that ends in a colon
    and names it last."""
    named = r"`([\w./-]+\.\w+)`(?:[^`\n]|\n(?!\n))*:\n\n```\w+\n(.*?)^```$"
    return dict(re.findall(named, text, re.M | re.S))


def section(text: str, heading: str) -> str:
    """The text from one heading of the second level to the next."""
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)


RUN = {  # command: what it says
    "make": NOTHING,
    "make help": "make taste",
    'make ARGS="--configfile mine.yaml"': NOTHING,
    ".venv/bin/snakemake -c2 all": NOTHING,
    ".venv/bin/snakemake -c2 all --logger rich": NOTHING,
    ".venv/bin/snakemake -c2 all --configfile mine.yaml": NOTHING,
    ".venv/bin/snakemake -n": NOTHING,
    ".venv/bin/snakemake --report report.html": "Report created",
    "snakemake --unlock": "Unlocked working directory",
    "make explain FILE=results/figures/loss_curves.pdf": "results/corpora/math/splits",
    "make explain FILE=results/figures/forgetting_learning.pdf": "results/adapters/nano_dense/",
    "PYTHONPATH=scripts python3 -m implicit_sparsity.provenance.explaining FILE": "results/models/nano_dense",
    "PYTHONPATH=scripts python -m implicit_sparsity.metrics.metric_docs": (
        ROOT / "docs/metrics.md"
    ).read_text(encoding="utf-8"),
    "PYTHONPATH=scripts python -m implicit_sparsity.planning.family_docs": (
        ROOT / "docs/models.md"
    ).read_text(encoding="utf-8"),
}
WHOLE_ARCHIVE, HERE = "tests/provenance/test_archive_of_a_study.py", "tests/test_docs.py"
EXAMPLE = "tests/test_docs_example.py"
THESIS = "tests/test_thesis.py"  # dry runs of all of it; tests/slurm has the profile on a real SLURM
RESOLVED = {  # command: the test that runs it, or the nearest to it that is affordable
    "make taste": "tests/figures/test_files.py",
    "make test": HERE,
    "make test-slurm": "tests/slurm/test_slurm.py",
    "make bench": "tests/benchmarks/test_training_benchmark.py",
    "make ladder": "tests/workflow/test_config.py",
    "make comparison": "tests/workflow/test_config.py",
    "make env": "tests/test_envs.py",
    "make report": "tests/report/test_report.py",
    "make explain": WHOLE_ARCHIVE,
    "make archive": WHOLE_ARCHIVE,
    'make archive ARGS="--configfile mine.yaml"': WHOLE_ARCHIVE,
    "make restore ARCHIVE=archives/study.tar.gz INTO=folder": WHOLE_ARCHIVE,
    "make restore ARCHIVE=study.tar.gz INTO=folder": WHOLE_ARCHIVE,
    "make export MODEL=smollm2 CHECKPOINT=lora.forward.seed0.stage4": "tests/models/test_export.py",
    "snakemake -c1 results/exports/smollm2/lora.forward.seed0.stage4": "tests/models/test_export.py",
    "snakemake -n": HERE,
    ".venv/bin/snakemake -n --configfile mine.yaml": HERE,
    "snakemake all": "tests/test_workflow.py",
    ".venv/bin/snakemake -c1 estimate": "tests/planning/test_preflight.py",
    "snakemake preflight": "tests/planning/test_preflight.py",
    "snakemake estimate": "tests/planning/test_preflight.py",
    ".venv/bin/snakemake -n --config with=ladder": "tests/workflow/test_config.py",
    ".venv/bin/snakemake -n --config with=comparison": "tests/workflow/test_config.py",
    ".venv/bin/snakemake -c2 results/tokens/smollm2/cooking --configfile mine.yaml": HERE,
    ".venv/bin/snakemake -c2 results/tables/effective_neurons.csv --configfile mine.yaml": HERE,
    ".venv/bin/python -m pytest tests/probes/test_effective_neurons.py": HERE,
    ".venv/bin/python -m pytest tests/probes/test_norm_growth.py": EXAMPLE,
    ".venv/bin/snakemake -c2 results/tables/norm_growth.csv --configfile mine.yaml": EXAMPLE,
    ".venv/bin/python -m pytest tests/test_methods.py -k l2_sp": EXAMPLE,
    ".venv/bin/python benchmarks/gpu.py": "tests/benchmarks/test_gpu_benchmark.py",
    ".venv/bin/python benchmarks/training.py": "tests/benchmarks/test_training_benchmark.py",
    ".venv/bin/snakemake --profile slurm all": THESIS,
    ".venv/bin/snakemake --profile slurm estimate": THESIS,
    "snakemake --profile slurm all": THESIS,
    ".venv/bin/python -m snakemake --profile slurm all": THESIS,
    ".venv/bin/python -m snakemake --profile slurm -n all": THESIS,
    ".venv/bin/python -m snakemake --profile slurm estimate": THESIS,
    ".venv/bin/python -m snakemake --profile slurm all --configfile config.yaml": "tests/slurm/test_slurm.py",
    ".venv/bin/snakemake --profile slurm all --configfile slurm/thesis.yaml mine.yaml": THESIS,
    ".venv/bin/python -m snakemake --profile slurm results/figures/overlap_by_layer.pdf": THESIS,
}
A_PART, A_SITE = "part of a command beside it", "asks another machine, or another program than ours"
WRONG = "the WRONG of a pair: `test_what_is_called_wrong_goes_wrong` shows it"
OUTSIDE = {
    "---": "no command: what begins a second document of YAML",
    ".venv/bin/snakemake": "which program it is",
    "--config seeds=[0,1] 'tokens={template: {before: \"@user \"}}'": A_PART,
    "git clone <this repository>": "a placeholder",
    "cd <its folder>": "a placeholder",
    "tmux": A_SITE,
    "rsync -a --exclude .snakemake/locks --exclude .snakemake/log --exclude results/logs/slurm "
    "cluster:study/ study/": "from another machine; tests/test_workflow.py moves a study",
    'sinfo -o "%P %G %l"': A_SITE,
    "sacctmgr show assoc user=$USER": A_SITE,
    'squeue --me -o "%i %P %T %M %k"': A_SITE,
    "squeue -o %j": A_SITE,
    "scancel": A_SITE,
    "scancel --me": A_SITE,
    "scancel -n <run>": A_SITE,
    "hf auth login": A_SITE,
    "sha256sum -c": "of an archive; tests/provenance checks the same manifest",
    "tar -xf": "of an archive",
    "tar -czf study.tgz results/": "a WRONG; tests/provenance shows what is missing",
    "rocrate-validator validate -p workflow-run-crate FOLDER": f"{WHOLE_ARCHIVE} calls it as a library",
    "make export": "named without its arguments, which stand elsewhere",
    "cp -p": WRONG,
    "rsync -a": WRONG,
    "snakemake --touch": WRONG,
    "--rerun-triggers mtime": WRONG,
    "snakemake -c2 --configfile mine.yaml all": WRONG,
    "--profile slurm all --configfile mine.yaml": "a WRONG; slurm/profile.v9+.yaml says the same",
    "PYTHONPATH=scripts": A_PART,
    "--config": A_PART,
    "--configfile": A_PART,
    "--configfile mine.yaml": A_PART,
    "--configfile config.yaml": A_PART,
    "--configfile slurm/thesis.yaml mine.yaml": A_PART,
    "--config with=core": A_PART,
    "--config with=name": A_PART,
    "--nano": f"{RESOLVED['.venv/bin/python benchmarks/training.py']} runs benchmarks so",
    "--set-resources train_adapter:gpu=8": "takes eight GPUs",
    "--set-resources export_model:mem_mb=160000": "takes a model of 27 billion",
}
