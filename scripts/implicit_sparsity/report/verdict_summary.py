"""The verdicts of a finished study in a few lines, for the end of ``make``.

``PYTHONPATH=scripts python -m implicit_sparsity.report.verdict_summary`` reads results/verdicts.json.
"""

import json
import sys
from pathlib import Path

WORDS = ("SUPPORTED", "NOT SUPPORTED", "INCONCLUSIVE")


def summary(verdicts: dict, folder: Path) -> str:
    """A line for every claim that was judged, one line for all that were not, and where to read on.

    verdicts: the content of verdicts.json; folder: the one that it lies in, named in front of the pages.
    """
    claims = verdicts["claims"]
    judged = [(word, name) for word in WORDS for name in claims if claims[name]["verdict"] == word]
    lines = [f"{word:<14} {name:<4} {claims[name]['statement']}" for word, name in judged]
    other = [name for name, claim in claims.items() if claim["verdict"] not in WORDS]
    if other:
        lines.append(f"{'NOT RUN':<14} {', '.join(other)}")
    lines.append(f"Why: {folder / 'verdicts.md'}   Figures: {folder / 'figures'}   One page: make report")
    return "\n".join(lines)


if __name__ == "__main__":
    path = Path("results/verdicts.json")
    if not path.is_file():
        sys.exit(f"error: {path} is not there: run `make` first")
    print(summary(json.loads(path.read_text(encoding="utf-8")), path.parent))
