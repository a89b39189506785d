"""A rule's conda environment holds every package that its script may import, also through the library."""

import ast
import re
import sys
from importlib import metadata
from importlib.util import resolve_name
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from test_envs import locked

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
LOADED_BY_NAME = {
    "methods",
    "measurements",
    "probes",
    "figures",
    "claims",
    "sources",
}  # folders of modules that the config names
RULE = re.compile(
    r'^rule (\w+):$.*?conda:\s+"\.\./envs/(\w+)\.yaml".*?script:\s+"\.\./(scripts/\w+\.py)"', re.M | re.S
)
CASES = [match for path in sorted((ROOT / "rules").glob("*.smk")) for match in RULE.findall(path.read_text())]


def modules(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere; of `from a import b` both a and a.b.

    A relative import by its whole name.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(SCRIPTS).parent.parts)
            module = resolve_name("." * node.level + (node.module or ""), package)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def files(module: str) -> list[Path]:
    """The files of a library module: a package's __init__, and its modules where they are loaded by name."""
    path = SCRIPTS.joinpath(*module.split("."))
    if path.is_dir():
        return sorted(path.glob("*.py")) if path.name in LOADED_BY_NAME else [path / "__init__.py"]
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else []


def foreign(script: Path) -> dict[str, Path]:
    """Top-level names from outside that a script's import closure names, and one file that does."""
    waiting, seen, result = [script], set(), {}
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for module in modules(path):
            top = module.split(".")[0]
            if top == "implicit_sparsity":
                waiting += files(module)
            elif top not in sys.stdlib_module_names:
                result[top] = path
    return result


def test_every_rule_with_a_script_names_an_environment():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert len(CASES) == len(re.findall(r"^    script:", rules, re.M))


@pytest.mark.parametrize(("rule", "kind", "script"), CASES)
def test_a_rule_has_what_its_script_imports(rule, kind, script):
    if not (ROOT / script).is_file():
        pytest.fail(f"rule {rule} names {script}, which does not exist")
    pins, distributions = {*locked(kind), *locked("model")}, metadata.packages_distributions()
    missing = []
    for name, path in sorted(foreign(ROOT / script).items()):
        owners = {canonicalize_name(owner) for owner in distributions.get(name, [name])}
        if not owners & pins:
            missing.append(f"{name} (imported in {path.relative_to(ROOT)}) is not in envs/{kind}.in")
    assert missing == []
