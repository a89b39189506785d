"""Functions of a planted package: the file is the group."""

from implicit_sparsity.corpora.sources import algorithms

TEXT = 'def halve(n: int) -> int:\n    """Half of n.\n\n    >>> halve(4)\n    2\n    """\n    return n // 2\n'


def test_a_file_is_a_group(tmp_path):
    root = tmp_path / "algorithms"
    (root / "math").mkdir(parents=True)
    for name in ("math/halve.py", "math/__init__.py"):
        (root / name).write_text(TEXT)
    (made,) = algorithms._of_file(root / "math" / "halve.py", root, 5)
    assert made["id"] == "algorithms.math.halve:halve:1" and made["group"] == "algorithms.math.halve"
    assert made["prompt"].endswith("2\n    " + '"""') and made["completion"] == "    return n // 2"
    (package,) = algorithms._of_file(root / "math" / "__init__.py", root, 5)
    assert package["group"] == "algorithms.math"
    assert list(algorithms._of_file(root / "math" / "halve.py", root, 99)) == []


def test_the_package_has_many_files_and_some_have_several_functions():
    made = [record for record in algorithms.documents(None, 0, max_chars=500) if isinstance(record, dict)]
    groups = {record["group"] for record in made}
    assert 100 < len(groups) < len(made) and all(record["licence"] == "MIT" for record in made)
