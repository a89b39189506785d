"""Pages of README.md and docs/: links and paths lead somewhere, lines fit, the index has all pages."""

import re

import pytest
import texts
from texts import ROOT, TEXTS


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", texts.FENCED.sub("", TEXTS[page])):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in texts.slugs(target.read_text(encoding="utf-8")), f"{page}: {link}"


@pytest.mark.parametrize("page", TEXTS)
def test_paths_are_there(page):
    """Files of the repository that a page names, and the trees that it draws."""
    made = {path for text in TEXTS.values() for path in texts.files(text)}
    rooms = r"(?:tests|docs|scripts|rules|slurm|benchmarks|envs)/[\w./+-]*"
    named = {span for span in texts.spans(TEXTS[page]) if re.fullmatch(rooms, span)} - made
    assert {path for path in named if not (ROOT / path).exists()} == set()
    for language, content in texts.blocks(TEXTS[page]):
        if not language and not texts.is_shell(language, content):
            first = [line.split()[0].rstrip(",") for line in content.splitlines() if not line.startswith(" ")]
            assert first and all(list(ROOT.glob(name)) for name in first), first


@pytest.mark.parametrize("page", sorted(set(TEXTS) - {"docs/adding.md"}))
def test_lines_fit_a_terminal(page):
    """All but tables, which have a line a row; and the README is read in three minutes."""
    assert [line for line in TEXTS[page].splitlines() if len(line) >= 120 and line[0] != "|"] == []
    assert page != "README.md" or len(TEXTS[page]) < 6500


def test_the_index_has_every_page():
    linked = set(re.findall(r"\]\(([\w./]+\.md)\)", TEXTS["docs/README.md"]))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert linked - {"../README.md"} == pages
