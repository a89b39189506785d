"""CHAMP: 270 competition problems with annotated solutions (Mao, Kim and Zhou 2024, arXiv 2406.18321).

id, group   "P_Combinatorics_1" (problems are unrelated; near copies are found by deduplication)
prompt      "Let a string consist of digit 1, 2, 3. How many such strings of length 6 have adjacent ..."
completion  "Let x_n, y_n, z_n be the number of length-n strings ... Thus, in total, there are ...\n#### 239"
answer      "239" (a number, a formula or a word)
"""

import json
from collections.abc import Iterator

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within
from implicit_sparsity.storage.files import package_file, version

LICENCE = "MIT"


def versions() -> dict[str, str]:
    return {"champ-dataset": version("champ-dataset")}


def documents(limit: int | None, seed: int, max_chars: int | None = None) -> Iterator[dict | Dropped]:
    """The problems with their solution steps, one a line."""
    path = package_file("champ_dataset", "dataset_files", "v0.json")
    problems = json.loads(path.read_text("utf-8"))["problems"]
    records = [_record(problems[name]) for name in sorted(problems)]
    yield from sample(within(records, max_chars), limit, seed)


def _record(problem: dict) -> dict:
    steps = [step["_text"].strip() for step in problem["solution"]["steps"]]
    answer = problem["_answer"].strip()
    return {
        "id": problem["identifier"],
        "group": problem["identifier"],
        "prompt": problem["_text"].strip(),
        "completion": "\n".join([*steps, f"#### {answer}"]),
        "answer": answer,
        "licence": LICENCE,
    }
