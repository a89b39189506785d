"""What a model's own configuration says against the study: it cannot be studied, or is too short for it.

``config.json`` of a model given by path is read here, before anything runs; that of a hub's or a package's
model by the plan, which calls ``check_lengths`` as well. What only the weights say is examined when a model
is prepared (models/examining.py).
"""

from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage import model_folder
from implicit_sparsity.storage.model_folder import CONFIG, ModelFolder

from .error import ConfigError, Errors


def check_folders(config) -> None:
    """Folders of models hold what can be studied, and have room for the study's documents and answers."""
    errors = Errors()
    for name, model in config["models"].items():
        with errors:
            settings = model.get("config", {})
            if model["source"] == "path":
                settings = _settings(name, model)
            check_lengths(name, settings, config)
    errors.refuse()


def _settings(name, model) -> dict:
    try:
        return ModelFolder(Path(model["path"])).config(needed=(CONFIG,))  # all that a plan reads
    except InputError as error:
        at, allowed = ("models", name, "path"), "a model's folder that can be studied"
        raise ConfigError(at, str(error), allowed) from error


def check_lengths(name, settings: dict, config) -> None:
    """ConfigError where a document, or its prompt with a generated answer, may be longer than a model was
    made for. ``settings``: of the model ``name``, as its config.json has them; ``config``: tokens, evals,
    models.
    """
    positions, tokens, evals = model_folder.positions(settings), config["tokens"], config["evals"]
    if positions is None:
        return
    longest, errors = tokens["max_length"], Errors()
    limit = f"{positions}, the positions of models.{name} ({model_folder.bound(settings)})"
    words = f"integer <= {limit}"
    with errors:
        if longest > positions:
            raise ConfigError(("tokens", "max_length"), longest, words)
        prompt, new = longest - tokens.get("min_completion", 1), evals["max_new_tokens"]
        if evals["generate"] and evals["generation_items"] and prompt + new > positions:
            found = f"{new}, after a prompt of up to {prompt} tokens"
            raise ConfigError(("evals", "max_new_tokens"), found, f"together at most {limit}")
    with errors:
        length = config["models"][name].get("pretraining", {}).get("max_length", 0)
        if length > positions:
            raise ConfigError(("models", name, "pretraining", "max_length"), length, words)
    errors.refuse()
