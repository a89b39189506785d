"""What is asked for on the command line is what the study has. It makes no files.

Needs: all other rules. Snakemake itself would plan the files of a model that the study does not have.
"""

from snakemake.io import get_wildcard_names, strip_wildcard_constraints

from implicit_sparsity.workflow import targets
from implicit_sparsity.workflow.config.error import ConfigError, Errors

UNLIKE_OTHERS = {"probe", "measurement", "control"}  # wildcards in whose place other files have other names


def check_targets(settings):
    """Refuse rules and files that the study does not have, all of them at once."""
    for kind in ("targets", "until", "omit_from", "forcerun"):
        given = getattr(settings, kind)
        setattr(settings, kind, type(given)(targets.relative(str(target), os.getcwd()) for target in given))
    rules_by_name = {rule.name: rule for rule in workflow.rules}
    asked = {*settings.targets, *settings.until, *settings.omit_from, *settings.forcerun}
    errors = Errors()
    for target in sorted(map(str, asked - set(rules_by_name))):
        with errors:
            targets.refuse_empty(target)
            check_file(target, rules_by_name)
    for name in sorted(set(settings.targets) & set(rules_by_name)):
        outputs = rules_by_name[name].output
        if rules_by_name[name].has_wildcards():
            pattern = strip_wildcard_constraints(str(outputs[0]))
            with errors:
                raise ConfigError((name,), "a rule of many files", "a file of it, " + pattern)
    errors.refuse()


def check_file(target, rules_by_name):
    """Refuse a file that no rule makes, or of what the study does not have."""
    outputs = [output for rule in rules_by_name.values() for output in rule.output]
    matches = [match.groupdict() for output in outputs if (match := output.match(target))]
    patterns = [EVAL, PLAN, *(strip_wildcard_constraints(str(output)) for output in outputs)]
    of_models = [pattern for pattern in patterns if not UNLIKE_OTHERS & get_wildcard_names(pattern)]
    wildcards = matches[0] if matches else targets.near_miss(target, of_models)
    if wildcards:
        targets.check(target, wildcards, study)
    if not matches:
        alone = [name for name, rule in rules_by_name.items() if not rule.has_wildcards()]
        made = expand(f"{FIGURE}.png", figure=FIGURES) + expand("results/tables/{table}.csv", table=TABLES)
        targets.refuse_unmade(target, alone, {*made, *patterns})


workflow.check_targets = one_line(check_targets)
