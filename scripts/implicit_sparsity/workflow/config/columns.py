"""What the fields of a source say together: a document has a completion, from one place."""

from implicit_sparsity.corpora.fields import MESSAGES, check_options
from implicit_sparsity.errors import InputError

from .error import ConfigError, show

TABLES = ("jsonl", "parquet", "hub")  # loaders of data of one's own


def check_columns(config):
    """The fields of every source of one's own name what becomes a document, and no part of it twice."""
    for domain, content in config["domains"].items():
        for name, chosen in content["sources"].items():
            path, loader = ("domains", domain, "sources", name), chosen.get("loader", name)
            if loader in TABLES:
                _check(path, loader, chosen)


def _check(path, loader, chosen):
    fields, layout = chosen.get("fields", {}), chosen.get("layout")
    if layout == MESSAGES or MESSAGES in fields:
        fields = {MESSAGES: MESSAGES} | fields  # the loader finds it by its usual names where none is given
        for key in sorted({"prompt", "completion"} & set(fields)):
            allowed = "nothing: it comes from the messages"
            raise ConfigError((*path, "fields", key), show(fields[key]), allowed)
    elif not {"completion", "answer"} & set(fields):
        words = "fields with completion or answer; or layout: messages"
        raise ConfigError((*path, "fields"), show(fields), words)
    if "choices" in fields and "choices" in chosen:
        raise ConfigError((*path, "choices"), show(chosen["choices"]), "nothing: fields.choices has them")
    if layout == "mapping" and (loader == "parquet" or "split" in chosen):
        raise ConfigError((*path, "layout"), show(layout), "lines | messages: a table has no keys")
    try:  # as the loader does, before it reads a row
        check_options(fields, chosen["licence"], chosen.get("choices"), chosen.get("answer_pattern", ""))
    except InputError as error:
        keys = (error.key or "fields").split(".")
        found = f"{show(_at(chosen, keys))} ({error.message})"
        raise ConfigError((*path, *keys), found, "what docs/corpora.md says of it") from error


def _at(chosen, keys):
    """What a source has at a key, or nothing."""
    for key in keys:
        chosen = chosen.get(key) if isinstance(chosen, dict) else None
    return chosen
