"""Grade-school word problems from about 85 templates (GSM-Symbolic, arXiv 2410.05229, as in reasoning-gym).

    id          "17"                         group  "template 71"
    prompt      "James gets 160 emails a day. 30% of those emails don't require any response. ..."
    completion  "James receives 48=48 emails that don't require a response\n...\n#### 560"
    answer      "560"

The package ends every question with the same two sentences of format advice; they are cut off. Some templates
write the last line as a float ("#### 36.0") where the answer is "36": the last line is the answer.
"""

from collections.abc import Iterator

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import too_long
from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import version

LICENCE = "Apache-2.0"
ADVICE = " Give the result as your final answer. Do not include units."
WRONG = frozenset({60})  # truncates a time to whole minutes ("13÷2/3=19"), so its answers are wrong


def versions() -> dict[str, str]:
    return {"reasoning-gym": version("reasoning-gym")}


def documents(
    limit: int, seed: int, max_chars: int | None = None, per_template: int | None = None
) -> Iterator[dict | Dropped]:
    """Problems drawn by seed, at most ``per_template`` of one template (None: as they come)."""
    from implicit_sparsity.corpora.puzzles import create_dataset

    if limit is None:
        raise InputError("a generator has no end: give a limit", key="limit")
    size = 20 * limit + 1000  # drawn lazily; enough after the wrong, over-long and repeated ones are left out
    problems = create_dataset("gsm_symbolic", seed=seed, size=size)
    seen, used, given = set(), {}, 0
    for index, template in enumerate(problems.task_indices):
        if given == limit:
            return
        if template in WRONG or used.get(template, 0) == (per_template or size):
            continue
        record = _record(problems[index], index, template)
        if too_long(record, max_chars):
            yield Dropped("over max_chars")
        elif record["prompt"] in seen:
            yield Dropped("repeated question")
        else:
            seen.add(record["prompt"])
            used[template] = used.get(template, 0) + 1
            given += 1
            yield record


def _record(problem: dict, index: int, template: int) -> dict:
    steps = problem["metadata"]["answer_cot"].rpartition("####")[0].rstrip()
    return {
        "id": str(index),
        "group": f"template {template}",
        "prompt": problem["question"].removesuffix(ADVICE),
        "completion": f"{steps}\n#### {problem['answer']}",
        "answer": str(problem["answer"]),
        "licence": LICENCE,
    }
