"""Config files -> the study that they make together, or one line that says what is wrong with them."""

import os

from ..study import Study
from . import names, options, references, variants
from .error import ConfigError
from .files import plain, read_strictly
from .layers import asked_parts, file_of, laid_over, optional_parts, with_parts
from .schema import check_shape

COMMAND_LINE = "--config"


def load(files, command_line: dict, replaced=False) -> Study:
    """The study of config ``files``, the later over the earlier, with the values of --config on top.

    ``replaced``: the first is read and left out. An optional part that is not asked for is laid and checked
    all the same, and then left out.
    """
    given = [(os.path.relpath(file), read_strictly(file)) for file in dict.fromkeys(files)][replaced:]
    given.append((COMMAND_LINE, dict(command_line)))
    layers = [(name, plain(content, (), name, typed=name != COMMAND_LINE)) for name, content in given]
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
        study = study_of({key: whole[key] for key in whole if key not in ("optional", "with")})
        names.check_references(study.given, study.families, mentioned)
        return study
    except ConfigError as error:
        raise error.in_file(error.file or file_of(error.path, layers)) from error


def study_of(whole: dict) -> Study:
    """The study of a config that fits its models; ConfigError where its entries do not fit each other."""
    config = plain(whole)
    variants.check_methods(config)
    methods, families = variants.laid_out(config)
    probed = variants.those_asked_for(config["probed_methods"], families)
    options.check_sources(config)
    references.check_models(config)
    references.check_orders(config)
    references.check_reference(config)
    options.check_probes(config)
    references.check_measurements(config)
    references.check_needs(config)
    options.check_room(config, "figures")
    options.check_room(config, "claims")
    references.check_budgets(config)
    references.check_format_warmup(config)
    references.check_sizes(config)
    references.check_tables(config)
    references.check_comparisons(config, families)
    references.check_hardware(config)
    return Study(config, methods, families, probed)
