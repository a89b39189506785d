"""Who may import whom: rules read the library, scripts run it, and each heavy package has its own room."""

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "implicit_sparsity"
PACKAGE = "implicit_sparsity"

# Package -> modules that may import it. Everyone else goes through them.
KEEPERS = {
    "zarr": {"store"},
    "xarray": {"store"},
    "transformers": {"models", "trainer", "planning.shapes"},  # a Trainer's subclass; configurations alone
    "peft": {"adapters", "models", "lowrank", "stages"},  # models: 8-bit weights
    "datasets": {"corpora.sources.hub"},
    "huggingface_hub": {"hub"},
    "httpx2": {"hub"},  # the errors of its client
}
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "pandas",
    "matplotlib",
    "xarray",
    "zarr",
    "datasets",
    "pyarrow",
    "scipy",
)


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)


def short(name):
    return name.removeprefix(PACKAGE + ".")


def modules(room):
    return [path.stem for path in (LIBRARY / room).glob("*.py") if path.stem not in ("__init__", "base")]


def sources():
    return {path.relative_to(SCRIPTS): ast.parse(path.read_text()) for path in sorted(SCRIPTS.rglob("*.py"))}


@pytest.mark.parametrize("package", KEEPERS)
def test_a_heavy_package_has_its_keepers(graph, package):
    importers = {short(name) for name in graph.find_modules_that_directly_import(package)}
    assert importers <= KEEPERS[package]


def test_library_knows_nothing_of_the_workflow(graph):
    for outside in ("snakemake", "snakemake_executor_plugin_slurm"):
        assert outside not in graph.modules
    assert graph.find_modules_that_directly_import(f"{PACKAGE}.job") == set(), "job is for scripts"


@pytest.mark.parametrize("room", ["methods", "probes", "figures", "claims"])
def test_neighbours_in_a_room_know_their_base_only(graph, room):
    for name in modules(room):
        imported = {
            short(found) for found in graph.find_modules_directly_imported_by(f"{PACKAGE}.{room}.{name}")
        }
        rooms = ("methods", "probes", "figures", "claims")
        inside = {found for found in imported if found.split(".")[0] in rooms}
        assert inside <= {room, f"{room}.base"}, name


def test_nobody_names_a_single_method_probe_or_figure(graph):
    """They are loaded by the name in the config: the code has no list of them."""
    for room in ("methods", "probes", "figures", "claims", "corpora.sources"):
        for name in modules(room.replace(".", "/")):
            importers = graph.find_modules_that_directly_import(f"{PACKAGE}.{room}.{name}")
            assert {
                found for found in importers if not found.startswith(f"{PACKAGE}.corpora.sources.")
            } == set(), name


def test_figures_and_claims_read_tables_never_tensors(graph):
    for figure in [
        *(f"figures.{n}" for n in modules("figures")),
        *(f"claims.{n}" for n in modules("claims")),
    ]:
        for forbidden in ("torch", "safetensors", "transformers", f"{PACKAGE}.store", f"{PACKAGE}.models"):
            if forbidden in graph.modules:
                chain = graph.find_shortest_chain(f"{PACKAGE}.{figure}", forbidden)
                assert chain is None, chain


def test_only_hooks_places_hooks():
    placing = set()
    for path, tree in sources().items():
        called = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and hasattr(node.func, "attr")
        }
        if any(name.startswith("register_") and name.endswith("_hook") for name in called):
            placing.add(path.parent.as_posix())
    assert placing == {f"{PACKAGE}/hooks"}


def test_no_pickle_and_no_remote_code():
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "dill", "joblib", "shelve"}, path
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert ast.unparse(node.value) == "False", path
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"), path


def test_workflow_imports_what_reads_the_library_as_text_alone():
    for path in [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]:
        for line in path.read_text().splitlines():
            if line.strip().startswith(("import ", "from ")) and PACKAGE in line:
                assert line.strip() == f"from {PACKAGE} import fingerprints, provenance", path.name


def test_slurm_is_named_under_slurm_only():
    for folder in ("rules", "scripts"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".smk", ".py", ".yaml"):
                assert "slurm_" not in path.read_text() and "sbatch" not in path.read_text(), path


def test_a_script_is_one_function_of_its_own_name():
    for path in sorted(SCRIPTS.glob("*.py")):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path.name
        assert path.stem in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, path.name
        assert f"job.run({path.stem}, snakemake)" in path.read_text(), path.name
        assert "__future__" not in path.read_text(), path.name
        assert f"scripts/{path.name}" in "".join(p.read_text() for p in (ROOT / "rules").glob("*.smk")), (
            path.name
        )


def test_scripts_start_light():
    """A script's import costs milliseconds; what is heavy comes with the function that needs it."""
    names = [path.stem for path in sorted(SCRIPTS.glob("*.py"))]
    code = f"import sys, {', '.join(names)}\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
