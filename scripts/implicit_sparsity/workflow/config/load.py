"""Config files -> the study that they make together, or lines that say all that is wrong with them.

What is wrong is put aside and the rest is read on, so that a user sees every fault at once.
"""

import os

from ..study import Study
from . import columns, folders, named, names, needs, options, paths, references, sizes, variants
from .error import ConfigError, Errors, follows
from .files import COMMAND_LINE, plain, read, read_command_line
from .layers import asked_parts, fault, laid_over, optional_parts, with_parts, without
from .schema import check_shape

ROUNDS = 60  # of reading on; a round may find an error that only follows from an earlier one


def load(files, command_line=(), replaced=False) -> Study:
    """The study of config ``files``, the later over the earlier, with the values of --config on top.

    ``command_line``: NAME=YAML each. ``replaced``: the first file is read and left out. An optional part that
    is not asked for is laid and checked all the same, and then left out.
    """
    layers, errors = _read(files, command_line)
    errors += [error for name, content in layers[replaced:] for error in sizes.one_as_float(content, name)]
    layers = [(name, plain(content)) for name, content in layers[replaced:]]
    aside = list(errors)  # what is wrong, and what only follows from it: gone for the next round
    for _ in range(ROUNDS):
        with Errors() as found:
            study = _study(layers)
        errors += [error for error in found.errors if not follows(error, aside)]
        aside += found.errors
        fewer = layers
        for error in found.errors:
            fewer = without(fewer, error.file, error.path)
        if fewer is layers:  # nothing is wrong, or it cannot be put aside
            break
        layers = fewer
    Errors(errors).refuse()
    return study


def _read(files, command_line):
    """(layers, errors): what can be read of the files; ConfigError where one cannot be read at all."""
    layers, errors, whole = [], [], Errors()
    for file in dict.fromkeys(files):
        with whole:
            content, wrong = read(file)
            layers.append((os.path.relpath(file), content))
            errors += wrong
    whole.refuse()
    content, wrong = read_command_line(command_line)
    return [*layers, (COMMAND_LINE, content)], errors + wrong


def _study(layers) -> Study:
    """The study of (file, content) laid over each other; ConfigError, with its file, for what is wrong."""
    try:
        parts = optional_parts(layers)
        everything = names.contents(layers)
        mentioned = names.given(everything)
        names.check_removals(everything, mentioned)
        asked = asked_parts(layers, parts)
        given = layers
        for chosen in (*({name: parts[name]} for name in parts if name not in asked), asked):
            layers = with_parts(given, chosen)
            whole = laid_over(layers)
            check_shape(whole | {"optional": {name: part for name, (_, part) in parts.items()}})
            variants.check_methods(plain(whole))
            options.check_entries(plain(whole))
        study = study_of({key: whole[key] for key in whole if key not in ("optional", "with")})
        names.check_hardware(study.given, mentioned)
        needs.check_needs(study.given)
        named.check(study, mentioned, layers)
        return study
    except ConfigError as error:
        Errors(one if one.file else fault(one, layers) for one in error.errors).refuse()


def study_of(whole: dict) -> Study:
    """The study of a config that fits its models; ConfigError where its entries do not fit each other."""
    config = plain(whole)
    methods, families = variants.laid_out(config)
    probed = variants.those_asked_for(config["probed_methods"], families)
    options.check_sources(config)
    paths.check_paths(config)
    columns.check_columns(config)
    references.check_models(config)
    references.check_orders(config)
    references.check_quantized(config)
    references.check_reference(config)
    references.check_budgets(config)
    references.check_format_warmup(config)
    sizes.check_sizes(config)
    references.check_tables(config)
    references.check_comparisons(config, families)
    references.check_hardware(config)
    folders.check_folders(config)
    return Study(config, methods, families, probed)
