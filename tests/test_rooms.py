"""Who may import whom: rules read the library, scripts run it, and each heavy package has its own room."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "implicit_sparsity"
PACKAGE = "implicit_sparsity"

# From the top down: a room imports rooms below it, never one beside or above it.
LAYERS = (
    "methods",
    "updates",
    "measurements",
    "passes",
    "training",
    "models",
    "corpora",
    "provenance",
    "storage",
    "metrics",
    "options | randomness",
    "option_values | option_relations | errors",
)
# Rooms beside the tower: what of the project each may import. ``metrics`` knows only the root.
ROOT_MODULES = {"errors", "options", "option_values", "option_relations", "randomness"}
BESIDE = {
    "metrics": set(),
    "report": {"metrics", "provenance", "storage"},
    "probes": {"passes", "metrics", "storage"},
    "figures": {"metrics", "report", "provenance", "storage"},
    "claims": {"metrics", "report", "storage"},
    "planning": {"measurements", "models", "workflow", "provenance", "storage"},
    "workflow": {"provenance", "storage", "corpora"},
}
# Package -> modules that may import it. Everyone else goes through them.
KEEPERS = {
    "zarr": {"storage.store"},
    "xarray": {"storage.store"},
    "transformers": {"models.loading", "models.forward", "training.trainer", "planning.shapes"},
    "peft": {f"models.{name}" for name in ("adapted", "adapters", "loading", "forward", "lowrank")}
    | {"training.stage"},
    "datasets": {"corpora.sources.hub"},
    "huggingface_hub": {"storage.hub"},
    "httpx2": {"storage.hub"},  # the errors of its client
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


def room_of(name):
    """The room of a module (``implicit_sparsity.models.ffn`` -> models), or a module of the root."""
    return short(name).split(".")[0]


def rooms():
    return {path.parent.name for path in LIBRARY.glob("*/__init__.py")}


def test_rooms_are_layers_and_imports_go_down(graph):
    broken = graph.find_illegal_dependencies_for_layers(layers(), containers={PACKAGE})
    assert not broken, [
        f"{d.importer} -> {d.imported}: {[r.middle or (r.heads, r.tails) for r in d.routes]}" for d in broken
    ]


def layers():
    return tuple({name.strip() for name in layer.split("|")} for layer in LAYERS)


def test_a_room_of_the_tower_imports_nothing_beside_it(graph):
    tower = {name for layer in layers() for name in layer}
    wrong = {
        (short(name), short(imported))
        for name in graph.modules
        if name.startswith(f"{PACKAGE}.") and room_of(name) in tower
        for imported in graph.find_modules_directly_imported_by(name)
        if imported.startswith(f"{PACKAGE}.") and room_of(imported) not in tower
    }
    assert not wrong


@pytest.mark.parametrize("room", BESIDE)
def test_a_room_beside_the_tower_imports_what_it_may(graph, room):
    allowed = BESIDE[room] | ROOT_MODULES | {room}
    wrong = {
        (short(name), short(imported))
        for name in graph.modules
        if name.startswith(PACKAGE) and room_of(name) == room
        for imported in graph.find_modules_directly_imported_by(name)
        if imported.startswith(f"{PACKAGE}.") and room_of(imported) not in allowed
    }
    assert not wrong


def test_every_room_has_its_place_and_the_root_is_empty():
    listed = {name for layer in layers() for name in layer} | set(BESIDE)
    assert rooms() == listed - ROOT_MODULES
    assert {path.stem for path in LIBRARY.glob("*.py")} == ROOT_MODULES | {"__init__"}


def test_a_package_is_a_docstring():
    """It is in the fingerprint of everything in its room, so nothing may stand in it that can change."""
    for path in LIBRARY.rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path


def test_no_circle(graph):
    """Of rooms, however the modules inside depend on each other."""
    pairs = {
        (room_of(name), room_of(imported))
        for name in graph.modules
        if name.startswith(f"{PACKAGE}.")
        for imported in graph.find_modules_directly_imported_by(name)
        if imported.startswith(f"{PACKAGE}.") and room_of(name) != room_of(imported)
    }
    order = TopologicalSorter()
    for importer, imported in pairs:
        order.add(importer, imported)
    order.prepare()  # raises CycleError


def test_library_knows_nothing_of_the_workflow(graph):
    for outside in ("snakemake", "snakemake_executor_plugin_slurm"):
        assert outside not in graph.modules
    assert graph.find_modules_that_directly_import(f"{PACKAGE}.workflow.job") == set(), "job is for scripts"


@pytest.mark.parametrize("room", ["methods", "measurements", "probes", "figures", "claims"])
def test_neighbours_in_a_room_know_their_base_only(graph, room):
    for name in modules(room):
        imported = {
            short(other) for other in graph.find_modules_directly_imported_by(f"{PACKAGE}.{room}.{name}")
        }
        rooms = ("methods", "measurements", "probes", "figures", "claims")
        inside = {other for other in imported if other.split(".")[0] in rooms}
        assert inside <= {room, f"{room}.base"}, name


def test_nobody_names_a_single_method_measurement_probe_or_figure(graph):
    """They are loaded by the name in the config: the code has no list of them."""
    for room in ("methods", "measurements", "probes", "figures", "claims", "corpora.sources"):
        for name in modules(room.replace(".", "/")):
            importers = graph.find_modules_that_directly_import(f"{PACKAGE}.{room}.{name}")
            assert {
                other for other in importers if not other.startswith(f"{PACKAGE}.corpora.sources.")
            } == set(), name


def imported_names(nodes, folder):
    """(module, name, its name here) of every ``from module import name`` among ``nodes``."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) + 1 - node.level] if node.level else ()
            for alias in node.names:
                yield ".".join((*above, *filter(None, [node.module]))), alias.name, alias.asname or alias.name


def test_a_name_is_imported_from_its_home():
    """Neither ``from module import name`` nor ``module.name`` is of what ``module`` itself only imported."""
    trees = {path.with_suffix("").parts: tree for path, tree in sources().items()}
    passed_on, used = set(), set()
    for path, tree in trees.items():
        passed_on |= {(".".join(path), here) for *_, here in imported_names(tree.body, path[:-1])}
        names = list(imported_names(ast.walk(tree), path[:-1]))
        used |= {(module, name) for module, name, _ in names}
        full = {here: f"{module}.{name}" for module, name, here in names}
        dotted = (n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name))
        used |= {(full[n.value.id], n.attr) for n in dotted if n.value.id in full}
    assert passed_on & used == set()


def test_figures_and_claims_read_tables_never_tensors(graph):
    for figure in [
        *(f"figures.{n}" for n in modules("figures")),
        *(f"claims.{n}" for n in modules("claims")),
    ]:
        for forbidden in (
            "torch",
            "safetensors",
            "transformers",
            f"{PACKAGE}.storage.store",
            f"{PACKAGE}.models",
        ):
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
    assert placing == {f"{PACKAGE}/models/hooks"}


def test_no_pickle_and_no_remote_code():
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "dill", "joblib", "shelve"}, path
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert ast.unparse(node.value) == "False", path
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"), path


def test_rules_import_what_reads_the_library_as_text_alone(graph):
    """The workflow, which is parsed again in every job, and the little that it takes along."""
    for path in [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]:
        for line in path.read_text().splitlines():
            if line.strip().startswith(("import ", "from ")) and PACKAGE in line:
                assert line.strip().startswith(f"from {PACKAGE}.workflow"), path.name
    reading = {name for name in graph.modules if name.startswith(f"{PACKAGE}.workflow.")}
    reading -= {f"{PACKAGE}.workflow.{name}" for name in ("job", "output_cache", "progress")}  # of scripts
    imported = set().union(*(graph.find_modules_directly_imported_by(name) for name in reading)) - reading
    ours = {name for name in imported if name.startswith(PACKAGE)}
    light = {"workflow", "storage.files", "storage.model_folder", "errors", "option_values"}
    light |= {"option_relations", "provenance", "provenance.cache", "corpora.fields"}
    assert {short(name) for name in ours} <= light
    allowed = {"yaml", "pydantic", "pydantic_core", "psutil", *sys.stdlib_module_names}
    assert imported - ours <= allowed


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
