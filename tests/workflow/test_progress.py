"""A bar for who watches, and nothing for who does not."""

import io
import sys

from implicit_sparsity.workflow.progress import progress


def gone_through(monkeypatch, terminal) -> str:
    """What is written while three things are gone through."""
    written = io.StringIO()
    written.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", written)
    assert list(progress("code, half a")([3, 1, 2])) == [3, 1, 2]
    return written.getvalue()


def test_a_terminal_has_a_bar_that_goes_away(monkeypatch):
    text = gone_through(monkeypatch, terminal=True)
    assert "code, half a: " in text and "0/3" in text and text.rpartition("\r")[0].endswith(" ")


def test_a_log_has_none(monkeypatch):
    assert gone_through(monkeypatch, terminal=False) == ""
