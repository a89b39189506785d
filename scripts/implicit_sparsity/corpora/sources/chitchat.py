r"""Human conversations of the BYU chit-chat data set: the turns so far -> the next turn.

    id, group   "6a3a8ff5-..." (the conversation; one document of each, so that documents are independent)
    prompt      "A: Hello\nHow are you doing today?\nB: whats up MD\nim doing good\nhow are you doing?"
    completion  "Im alright, I just took a nap. But it was one of those naps that doesnt help anything. ..."

A turn is what one person sent before the other replied, a message a line. Nobody could guess a reply, so the
records are ``open``: for losses, not for choices.
"""

import json
from collections.abc import Iterator

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import order_key, sample, too_long
from implicit_sparsity.storage.files import package_file, version

OPTIONS = {"min_completion_chars": {"low": 0}}
LICENCE = "MIT"


def versions() -> dict[str, str]:
    return {"chitchat-dataset": version("chitchat-dataset")}


def documents(
    limit: int | None, seed: int, turns: int = 3, min_completion_chars: int = 20, max_chars: int | None = None
) -> Iterator[dict | Dropped]:
    """One turn of each conversation, drawn by seed, after up to ``turns`` turns of context."""
    path = package_file("chitchat_dataset", "dataset.json")
    conversations = json.loads(path.read_text("utf-8"))
    records = (
        _record(name, conversations[name]["messages"], seed, turns, min_completion_chars, max_chars)
        for name in sorted(conversations)
    )
    yield from sample(records, limit, seed)


def _record(name, messages, seed, turns, min_chars, max_chars) -> dict | Dropped:
    texts = ["\n".join(part["text"].strip() for part in turn).strip() for turn in messages]
    fitting = []
    for i in range(1, len(texts)):
        context = texts[max(0, i - turns) : i]
        prompt = "\n".join(f"{'AB'[place % 2]}: {text}" for place, text in enumerate(context))
        record = {"id": name, "group": name, "prompt": prompt, "completion": texts[i]}
        record |= {"licence": LICENCE, "open": True}
        if all(context) and len(texts[i]) >= min_chars and not too_long(record, max_chars):
            fitting.append(record)
    if not fitting:
        return Dropped("no turn of a fitting length")
    return fitting[int.from_bytes(order_key(seed, f"turn:{name}")[:4], "big") % len(fitting)]
