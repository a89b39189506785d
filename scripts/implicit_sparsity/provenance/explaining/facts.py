"""What is worth saying of each kind of artifact, from its record and from the files of its own."""

import json

SHORT = 12  # of a checksum


def of(artifact) -> list[str]:
    """Lines below an artifact's path: what it is, then how it was made."""
    own = [
        line for fact in (_model, _source, _splits, _tokens, _stage, _store, _eval) for line in fact(artifact)
    ]
    return own + _made(artifact)


def _read(artifact, *names) -> dict:
    """A JSON file of the artifact: itself, or one in its folder; {} where there is none."""
    place = artifact.place
    try:
        path = place.joinpath(*names) if place.is_dir() else place
        content = json.loads(path.read_text("utf-8"))
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}


def _model(artifact) -> list[str]:
    metadata = _read(artifact, "manifest.json")
    if not artifact.path.startswith("results/models/") or "revision" not in metadata:
        return []
    names = [
        f"model {metadata['name']} @ {metadata['revision']}",
        *filter(None, [metadata.get("repository")]),
    ]
    weights = [
        f"{name} sha256 {_short(value)}" for name, value in metadata["files"].items() if "safetensors" in name
    ]
    return [", ".join(names + weights), *filter(None, [metadata.get("note")])]


def _source(artifact) -> list[str]:
    path = artifact.place
    if path is None or path.suffix != ".jsonl":
        return []
    try:
        metadata = json.loads(path.with_name(f"{path.stem}.manifest.json").read_text("utf-8"))
        packages = " ".join(f"{name} {version}" for name, version in metadata["versions"].items())
        what = (
            f"data set {metadata['source']} of domain {metadata['domain']}: {metadata['documents']} documents"
        )
        checksum = next(iter(metadata["sha256"].values()))
        return [
            f"{what}, licence {', '.join(metadata['licences'])}",
            ", ".join(filter(None, [packages, f"sha256 {_short(checksum)}"])),
        ]
    except (OSError, ValueError, KeyError, StopIteration, TypeError):
        return []


def _splits(artifact) -> list[str]:
    metadata = _read(artifact, "manifest.json")
    if not artifact.path.endswith("/splits") or "licences" not in metadata:
        return []
    sizes = ", ".join(f"{name} {count}" for name, count in metadata["documents"].items())
    licences = ", ".join(f"{name} ({count})" for name, count in metadata["licences"].items())
    return [f"splits of domain {metadata['domain']}: {sizes}", f"licences: {licences}"]


def _tokens(artifact) -> list[str]:
    metadata = _read(artifact, "index.json")
    if not artifact.path.startswith("results/tokens/") or "tokenizer" not in metadata:
        return []
    tokens = sum(split["tokens"] for split in metadata["splits"].values())
    return [f"{tokens} tokens, tokenizer sha256 {_short(metadata['tokenizer']['sha256'])}"]


def _stage(artifact) -> list[str]:
    study = _read(artifact, "stage.json").get("study", {})
    if not artifact.path.startswith("results/adapters/") or "method" not in study:
        return []
    trained = ", ".join(study["trained_domains"])
    return [
        f"method {study['method']}, order {study['order']}, seed {study['seed']}, stage {study['stage']} "
        f"(trained on {trained}), model {study['model']} @ {study['revision']}"
    ]


def _store(artifact) -> list[str]:
    metadata = _read(artifact, "zarr.json").get("attributes", {})
    if not artifact.path.endswith(".zarr") or "title" not in metadata:
        return []
    return [f"{metadata['title']}, model @ {metadata.get('revision')}"]


def _eval(artifact) -> list[str]:
    metadata = _read(artifact).get("study", {})
    if not artifact.path.startswith("results/evals/") or "checkpoint" not in metadata:
        return []
    who = f"model {metadata['model']} @ {metadata['revision']}, checkpoint {metadata['checkpoint']}"
    scores = ", ".join(f"{name} {score['value']:.6g}" for name, score in metadata.get("metrics", {}).items())
    return [f"scores of {who} on {metadata['domain']}: {scores}"]


def _made(artifact) -> list[str]:
    record = artifact.record
    if not record:
        return [
            "not made by a rule of the study" if artifact.place else "not here, and nothing is known of it"
        ]
    if artifact.noted:
        return [f"rule {record['rule']} (Snakemake's note; the file itself says nothing)"]
    made = record.get("made", {})
    words = [f"rule {record['rule']}", f"code {_short(record.get('code') or 'unknown')}"]
    words += [f"commit {made['commit']}"] if made.get("commit") else []
    words += [f"on {made['device']}"] if made.get("device") else []
    lines = [", ".join(words)]
    return lines + _config("config", record.get("options", {}))


def _config(name: str, value, limit: int = 200) -> list[str]:
    """One line a key; a mapping too long for one line key by key, any other value cut."""
    lines = []
    for key, inner in value.items():
        text = json.dumps(inner, ensure_ascii=False, sort_keys=True)
        if len(text) > limit and isinstance(inner, dict):
            lines += _config(f"{name} {key}", inner, limit)
        elif inner not in ({}, [], None, ""):
            lines.append(f"{name} {key}: {text if len(text) <= limit else f'{text[:limit]} ...'}")
    return lines


def _short(checksum: str) -> str:
    return str(checksum)[:SHORT]
