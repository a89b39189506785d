"""Records made for the tests, and a script to run parts of the library in a process of its own."""

import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

from implicit_sparsity.corpora import wheels
from implicit_sparsity.storage.files import sha256

SCRIPTS = Path(__file__).parents[2] / "scripts"
SIZES = {"train": 40, "probe": 6, "select": 6, "eval": 10}
SHARED = Path(__file__).parents[3] / "shared" / "data"
ENDS = ("ra", "te", "li", "no", "mu", "sa")
WORDS = [
    f"{start}{end}" for start in ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu") for end in ENDS
]


def record(number: int, group: str = "g", source: str = "one", n_words: int = 30, **more) -> dict:
    """A record of random words, the same for the same number."""
    rng = random.Random(f"{source}:{number}")
    return {
        "id": f"{source}:{number}",
        "group": group,
        "source": source,
        "prompt": " ".join(rng.choices(WORDS, k=n_words)) + "?",
        "completion": " ".join(rng.choices(WORDS, k=rng.randint(3, 9))),
        "licence": "CC0",
        **more,
    }


def grouped(rng, sources=("one", "two"), groups=40, largest=6):
    """Records in groups of random sizes, from each source."""
    result = []
    for source in sources:
        for group in range(groups):
            start = len(result)
            result += [record(start + i, f"g{group}", source) for i in range(rng.randint(1, largest))]
    return result


def quoting(group_of_copy):
    """Clean groups, and text of train inside documents of other groups (a run of 20 words in new text)."""
    clean = [record(i, f"g{i}", n_words=50) for i in range(150)]
    quotes = []
    for i in range(60):
        quote = " ".join(clean[i]["prompt"].split()[5:25])
        new = record(1000 + i, group_of_copy(i), n_words=40)
        quotes.append(new | {"prompt": f"{new['prompt']} {quote}"})
    return clean + quotes


LETTERS = {  # of scripts without blanks between words, and of long words
    "chinese": [chr(c) for c in range(0x4E00, 0x4E00 + 2500)],
    "japanese": [chr(c) for c in (*range(0x3042, 0x3093), *range(0x30A2, 0x30F3), *range(0x4E00, 0x4E90))],
    "thai": [chr(c) + v for c in range(0x0E01, 0x0E2F) for v in ("", "", "\u0e34", "\u0e48")],
    "khmer": [chr(c) + v for c in range(0x1780, 0x17A2) for v in ("", "", "\u17b7", "\u17bb")],
    "burmese": [chr(c) + v for c in range(0x1000, 0x1021) for v in ("", "", "\u102d", "\u103a")],
    "korean": [chr(c) for c in range(0xAC00, 0xAC00 + 900)],
    "emoji": [chr(c) for c in range(0x1F600, 0x1F640)],
    "base64": [chr(c) for c in (*range(48, 58), *range(65, 91), *range(97, 123))],
}


def written(rng, script: str) -> str:
    """A text of 60 to 90 letters of a script, in one word."""
    return "".join(rng.choices(LETTERS[script], k=rng.randint(60, 90)))


def changed(rng, text: str, script: str) -> str:
    """The text with another character in one place."""
    place = rng.randrange(5, len(text) - 5)
    others = {letter[0] for letter in LETTERS[script]} - {text[place], text[place].swapcase()}
    return text[:place] + rng.choice(sorted(others)) + text[place + 1 :]


def run_python(code: str, *arguments, hash_seed: str = "0", **environment) -> subprocess.CompletedProcess:
    """Run ``code`` in a fresh process that sees the library, under a hash seed of its own."""
    env = os.environ | {"PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=env | environment, capture_output=True, text=True, timeout=120)


def plant_wheel(monkeypatch, tmp_path, package: str, files: dict[str, bytes]) -> Path:
    """A wheel of that package that holds ``files`` alone, in place of the pinned one."""
    path = tmp_path / f"{package.replace('-', '_')}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    monkeypatch.setattr(wheels, "folder", lambda: tmp_path)
    monkeypatch.setitem(wheels.PINS, package, ("1", sha256(path)))
    return path


def evals_row(text: str, ideal) -> dict:
    """A sample as files of the wheel of evals have it."""
    instruction = {"role": "system", "content": "Answer."}
    return {"input": [instruction, {"role": "user", "content": text}], "ideal": ideal}


def json_lines(*rows) -> bytes:
    """The rows as a JSON Lines file."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
