"""Options are read from source as Python would see them."""

import ast
import sys
from pathlib import Path

import pytest

from implicit_sparsity import option_relations, option_values
from implicit_sparsity.option_values import Option
from implicit_sparsity.workflow import constants, source

FILES = {
    "implicit_sparsity/methods/__init__.py": "",
    "implicit_sparsity/methods/base.py": (
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Method:\n    rank: int = option(8, low=1, high=64)\n    kind = 'base'\n"
        "    _hidden: int = 1\n    room: ClassVar[str] = 'x'\n"
        "@dataclass\nclass Wide(Method):\n    alpha: float = 1.0\n"
    ),
    "implicit_sparsity/methods/gated_lora.py": (
        "from implicit_sparsity.methods import base\n"
        "class Helper:\n    nothing: int = 0\n"
        "@dataclass\nclass GatedLora(base.Wide):\n    rank: int = option(4, low=1)\n    TABLES = ('a', 'b')\n"
        "    score: str = option('mean', choices=('mean', 'max'))\n    share: float\n"
    ),
    "implicit_sparsity/corpora/sources/books.py": (
        "def documents(limit, seed, path: str, shelves: int | None = None, *, on_bad='drop'):\n    pass\n"
    ),
    "implicit_sparsity/corpora/sources/any.py": "def documents(limit, seed, **options):\n    pass\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_option_fields_as_a_dataclass_would_have_them(root):
    fields = source.option_fields("implicit_sparsity.methods.gated_lora", root=root)
    assert fields == {
        "rank": Option("int", 4, low=1),
        "alpha": Option("float", 1.0),
        "score": Option("str", "mean", choices=("mean", "max")),
        "share": Option("float", ..., required=True),
    }


def test_class_literal_is_inherited(root):
    module = "implicit_sparsity.methods.gated_lora"
    assert source.class_literal(module, "TABLES", root=root) == ("a", "b")
    assert source.class_literal(module, "kind", root=root) == "base"
    assert source.class_literal(module, "absent", default=None, root=root) is None


def test_signature_options(root):
    books = source.signature_options(
        "implicit_sparsity.corpora.sources.books", "documents", ("limit", "seed"), root=root
    )
    assert list(books) == ["path", "shelves", "on_bad"]
    assert books["path"].required and not books["shelves"].required and books["on_bad"].default == "drop"
    anything = source.signature_options("implicit_sparsity.corpora.sources.any", "documents", root=root)
    assert "**" in anything


@pytest.mark.parametrize("room", ["methods", "measurements", "probes", "figures", "claims"])
def test_every_module_of_the_library_can_be_read(room):
    """What the workflow reads from source is what the class is once imported."""
    import dataclasses
    import importlib

    assert source.available(room)
    for name in source.available(room):
        fields = source.option_fields(source.module_name(room, name))
        module = importlib.import_module(source.module_name(room, name))
        cls = getattr(module, "".join(part.capitalize() for part in name.split("_")))
        real = {f.name: f.default for f in dataclasses.fields(cls)}
        assert {key: option.default for key, option in fields.items()} == real


def test_every_loader_of_the_library_can_be_read():
    for name in source.available("corpora.sources"):
        module = source.module_name("corpora.sources", name)
        assert "limit" in source.signature_options(module, "documents")


def test_nearest_and_method_module():
    assert source.nearest("loar", ["lora", "ewc"]) == "; did you mean lora?"
    assert source.nearest("zzz", ["lora", "ewc"]) == ""
    assert source.method_module("wide", {"uses": "lora"}) == "lora"
    assert source.method_module("lora", {}) == "lora"


@pytest.mark.parametrize("module", [source, constants, option_values, option_relations])
def test_standard_library_only(module):
    """And one another: the workflow imports them while it is parsed, in every job."""
    imports = list(ast.walk(ast.parse(Path(module.__file__).read_text())))
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    ours = {"constants", "implicit_sparsity.option_values"}
    assert {name.split(".")[0] for name in names - ours} <= set(sys.stdlib_module_names)


def test_measurements_say_what_the_workflow_plans_by():
    """Each name is a measurement's or a probe's, as both stand under ``probes``."""
    names = source.available("measurements")
    others = {"tokens", "previous", "earlier", "orders", "reference"}
    assert names and not set(names) & set(source.available("probes"))
    for name in names:
        module = source.module_name("measurements", name)
        fields = source.option_fields(module)
        assert source.class_literal(module, "SCOPE") in ("domain", "checkpoint")
        assert set(source.class_literal(module, "NEEDS")) <= {*names} | others
        for literal in ("PLANNED", "LIGHTER"):
            assert set(source.class_literal(module, literal)) <= set(fields), (name, literal)
