"""envs/plugins/: our Snakefile reads config files and --config; another's leaves that to Snakemake."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import studies

ROOT = Path(__file__).parents[1]
PLUGINS = ROOT / "envs/plugins"


@pytest.fixture
def plugin(monkeypatch):
    monkeypatch.syspath_prepend(PLUGINS)
    return importlib.import_module("snakemake_logger_plugin_configfiles")


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["-n", "-s", "a/Snakefile", "all"], "a/Snakefile"),
        (["--snakefile", "a/b.smk"], "a/b.smk"),
        (["--snakefile=a/b.smk"], "a/b.smk"),
        (["-sa/b.smk", "--summary"], "a/b.smk"),
        (["--summary", "--config", "s=1"], "Snakefile"),
        ([], "Snakefile"),
    ],
)
def test_the_snakefile_of_a_command_line(plugin, arguments, file):
    assert plugin.snakefile(arguments) == Path(file)


def test_another_workflow_is_read_as_ever(plugin, monkeypatch):
    reading = plugin.unless_ours(lambda given: {"read": given})
    monkeypatch.setattr(sys, "argv", ["snakemake", "-s", str(ROOT / "Snakefile")])
    assert reading("x") == {}
    monkeypatch.setattr(sys, "argv", ["snakemake", "-s", str(ROOT / "docs/Snakefile")])
    assert reading("x") == {"read": "x"}


def test_what_a_user_gives_ends_in_one_line_each(tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\nseeds: [0]\n")
    (tmp_path / "code.yaml").write_text(
        f"__use_yte__: true\n__definitions__: [\"open('{tmp_path}/ran', 'w')\"]\n"
    )
    command = [sys.executable, "-m", "snakemake", "-n", "-s", ROOT / "Snakefile"]
    environment = studies.environment() | {"PYTHONPATH": os.pathsep.join([str(PLUGINS)])}

    def refused(*arguments):
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 1 and done.stdout == ""
        return [line.partition(", allowed")[0] for line in done.stderr.splitlines()]

    assert refused("--configfile", "latin.yaml", "none.yaml") == [
        "latin.yaml:1: (top level): found text in another encoding than UTF-8 (byte 0xe9)",
        "none.yaml: (top level): found no such file or directory",
    ]
    assert refused("--configfile", "code.yaml", "--config", "seeds") == [
        "--config: (top level): found 'seeds'",
        "code.yaml: __definitions__: found an unknown key",
        "code.yaml: __use_yte__: found an unknown key",
    ]
    assert not (tmp_path / "ran").exists(), "no code of a config file runs"
