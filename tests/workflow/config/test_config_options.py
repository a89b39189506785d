"""Options of entries against the source of their modules."""

import pytest
import refusals

from implicit_sparsity.option_relations import RELATIONS
from implicit_sparsity.option_values import BOUNDS, Option, items_of, kinds_of, misfit
from implicit_sparsity.workflow import source
from implicit_sparsity.workflow.config import options, places
from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.load import load

MINE = "domains: {code: {sources: {mine: {loader: jsonl, path: config.yaml, licence: x, fields: {answer: a}, "
MATH = "domains: {math: {sources: {mine: {loader: "
OF_PARTS = {  # whether they are asked for or not
    "optional: {mine: {probes: {hubs: {k: [0]}}}}": ("probes.hubs.k", "[0]", "shares below 1"),
    "optional: {mine: {methods: {lora: {alpha: 0}}}}": ("methods.lora.alpha", "0", "> 0"),
    "optional: {ladder: {figures: {overview: {level: 2}}}}": ("figures.overview.level", "2", "< 1"),
}
OF_LOADERS = {
    f"{MINE}on_bad: ignore}}}}}}}}": ("mine.on_bad", "'ignore'", "refuse | drop"),
    f"{MINE}layout: table}}}}}}}}": ("mine.layout", "'table'", "lines | mapping | messages"),
    f"{MINE}answer_pattern: '####'}}}}}}}}": ("mine.answer_pattern", "needs a group", "docs/corpora.md"),
    f"{MINE}answer_pattern: '('}}}}}}}}": (
        "mine.answer_pattern",
        "not a regular expression",
        "docs/corpora.md",
    ),
    f"{MINE}choices: [one]}}}}}}}}": ("mine.choices", "['one']", "two texts or more"),
    f"{MINE}max_chars: 0}}}}}}}}": ("mine.max_chars", "0", ">= 1"),
    f"{MATH}gsm_symbolic}}}}}}}}": ("mine.limit", "nothing", "integer >= 1"),
    f"{MATH}gsm_symbolic, limit: 9, per_template: 0}}}}}}}}": ("mine.per_template", "0", ">= 1"),
    f"{MATH}reasoning_gym_logic, limit: 9, tasks: [chess]}}}}}}}}": (
        "mine.tasks",
        "['chess']",
        "knights_knaves",
    ),
    f"{MATH}reasoning_gym_logic, limit: 9, tasks: []}}}}}}}}": ("mine.tasks", "[]", "at least one entry"),
    f"{MATH}hpo, n_choices: 1}}}}}}}}": ("mine.n_choices", "1", "integer >= 2 or 0"),
    f"{MATH}hpo, branch_depth: ~}}}}}}}}": ("mine.branch_depth", "nothing", "integer >= 1"),
}
WRONG = (
    OF_LOADERS
    | OF_PARTS
    | {  # overlay of config.yaml -> key, found, allowed (parts of the line)
        "probes: {activation_sparsity: {top: 1}}": ("probes.activation_sparsity.top", "unknown key", "top_p"),
        "figures: {r_heatmaps: {colour: red}}": ("figures.r_heatmaps.colour", "unknown key", "scores"),
        "domains: {code: {sources: {human_eval: {limits: 3}}}}": (
            "domains.code.sources.human_eval.limits",
            "unknown key",
            "did you mean limit?",
        ),
        "domains: {code: {sources: {mine: {loader: jsonl, fields: {}, licence: x}}}}": (
            "mine.path",
            "nothing",
            "text",
        ),
        "claims: {h1a: {threshold: 2}}": ("claims.h1a.threshold", "2", "> 0 and < 1"),
        "claims: {h5: {threshold: 0.1, predictor: luck}}": (
            "claims.h5.predictor",
            "'luck'",
            "overlap | gradient",
        ),
        "methods: {lora: {rank: 0}}": ("methods.lora.rank", "0", "integer >= 1"),
        "methods: {lora: {rank: 2.5}}": ("methods.lora.rank", "2.5", "integer >= 1"),
        "methods: {lora: {targets: everything}}": ("methods.lora.targets", "'everything'", "all | mlp"),
        "methods: {activation_mask: {fraction: 1.5}}": ("methods.activation_mask.fraction", "1.5", "<= 1"),
        "probes: {activation_overlap: {score: loudest}}": (
            "activation_overlap.score",
            "'loudest'",
            "mean_abs | ",
        ),
        "probes: {activations: {stages: last}}": (
            "probes.activations.stages",
            "'last'",
            "base | final | all",
        ),
        "probes: {activations: {top_k: [0.1, 0]}}": (
            "probes.activations.top_k",
            "[0.1, 0]",
            "shares below 1 or whole numbers",
        ),
        "probes: {activations: {top_k: []}}": ("probes.activations.top_k", "[]", "at least one entry"),
        "probes: {activations: {thresholds: [1.0]}}": ("probes.activations.thresholds", "[1]", "> 0 and < 1"),
        "probes: {gradients: {documents: 1}}": ("probes.gradients.documents", "1", "integer >= 2"),
        "probes: {gradients: {stages: last}}": ("probes.gradients.stages", "'last'", "base | final | all"),
        "probes: {drift: {stages: base}}": ("probes.drift.stages", "'base'", "final | all"),
        "probes: {drift: {documents: 3}}": ("probes.drift.documents", "3", "integer >= 4"),
        "probes: {thresholds: {levels: [1.0]}}": ("probes.thresholds.levels", "[1]", "< 1"),
        "probes: {thresholds: {per: neuron}}": ("probes.thresholds.per", "'neuron'", "layer | expert"),
        "probes: {plasticity_task: {stages: last}}": (
            "probes.plasticity_task.stages",
            "'last'",
            "base | final | all",
        ),
        "probes: {input_spectra: {layers: 9}}": ("probes.input_spectra.layers", "9", "<= 8"),
        "probes: {plasticity: {target: 2}}": ("probes.plasticity.target", "2", "1"),
        "probes: {activation_overlap: {k: [0.1, 0.1]}}": (
            "activation_overlap.k",
            "0.1 twice",
            "each value once",
        ),
        "domains: {code: {sources: {human_eval: {max_chars: -3}}}}": ("human_eval.max_chars", "-3", ">= 1"),
        "methods: {curvature: {router: true}}": ("methods.curvature.router", "true", "false"),
        "figures: {overlap_by_layer: {control: nope}}": ("overlap_by_layer.control", "'nope'", "'' | bare"),
        "methods: {lora: {sweep: {learning_rate: [0.1, 2]}}}": (
            "methods.lora.sweep.learning_rate",
            "2",
            "<= 1",
        ),
        "methods: {lora: {sweep: {lr: [0.1]}}}": ("methods.lora.sweep.lr", "unknown key", "learning_rate"),
        "claims: {h9: {threshold: 1}}": ("claims.h9", "module of claims", "h1a"),
        "figures: {heatmaps: {}}": ("figures.heatmaps", "no module of figures", "r_heatmaps"),
        "probes: {overlap: {}}": ("probes.overlap", "no module of probes", "activation_overlap"),
        "probes: {plasticity_taks: {}}": (
            "probes.plasticity_taks",
            "no module",
            "did you mean plasticity_task?",
        ),
        "domains: {code: {sources: {stdlib: {limit: 5}}}}": (
            "sources.stdlib",
            "no loader",
            "did you mean python_stdlib?",
        ),
        "domains: {code: {sources: {mine: {loader: jsonl, path: no.jsonl, fields: {}, licence: x}}}}": (
            "domains.code.sources.mine.path",
            "no.jsonl",
            "a file that exists",
        ),
        "domains: {code: {sources: {mine: {loader: jsnl}}}}": (
            "mine.loader",
            "'jsnl'",
            "did you mean jsonl?",
        ),
        "methods: {lora: {sweep: {rank: [4, four]}}}": ("methods.lora.sweep.rank", "'four'", "integer >= 1"),
        "claims: {h2a: {treshold: 1}}": ("claims.h2a.treshold", "unknown key", "did you mean threshold?"),
    }
)


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


TAKES = {"rank": Option("int", 8, low=1), "path": Option("str", required=True), "k": Option("tuple", (1,))}


def refused(entry, takes, **more) -> str:
    with pytest.raises(ConfigError) as error:
        options.check_options(("methods", "x"), entry, takes, **more)
    return str(error.value)


def test_every_way_in_which_an_entry_misses_its_options():
    options.check_options(("x",), {"path": "p", "k": [1, 2], "uses": 3}, TAKES, skip=("uses",))
    at = "methods.x"
    assert refused({"path": "p", "rnk": 1}, TAKES, skip=("uses",)) == (
        f"{at}.rnk: found an unknown key, allowed: k, path, rank, uses; did you mean rank?"
    )
    assert refused({"a": 1}, {}) == f"{at}.a: found an unknown key, allowed: none"
    assert refused({"path": "p", "rank": 0}, TAKES) == f"{at}.rank: found 0, allowed: integer >= 1"
    assert refused({"rank": 1}, TAKES) == f"{at}.path: found nothing, allowed: text"
    assert refused({"path": "p", "k": [2, 3, 2]}, TAKES) == f"{at}.k: found 2 twice, allowed: each value once"


def test_a_function_that_takes_anything_takes_what_it_does_not_name():
    anything = TAKES | {"**": Option("")}
    options.check_options(("x",), {"path": "p", "more": [1]}, anything)
    assert refused({"more": 1}, anything) == "methods.x.path: found nothing, allowed: text"
    assert refused({"path": 3}, anything) == "methods.x.path: found 3, allowed: text"


def test_an_entry_of_probes_is_a_module_of_one_of_two_rooms(monkeypatch):
    assert options.probe_module("activations") == "implicit_sparsity.measurements.activations"
    assert options.probe_module("hubs") == "implicit_sparsity.probes.hubs"
    monkeypatch.setattr(options, "MEASUREMENTS", (*options.MEASUREMENTS, "hubs"))
    with pytest.raises(ConfigError) as error:
        options.check_probes({"probes": {"hubs": {}}})
    found = "a module of measurements/ and one of probes/"
    assert str(error.value) == f"probes.hubs: found {found}, allowed: another name"


def test_an_entry_with_its_defaults_says_all_as_yaml_does():
    module = "implicit_sparsity.measurements.activations"
    result = options.with_defaults(module, {"tokens": 64, "controls": ["bare"]})
    assert set(result) == set(source.option_fields(module))
    assert (result["tokens"], result["controls"], result["groups"]) == (64, ["bare"], 32)
    assert result["thresholds"] == [0.01, 0.1] and isinstance(result["thresholds"], list)


ROOMS = ("methods", "measurements", "probes", "figures", "claims")
NAMING = ("model", "models", "method", "methods", "against", "domain", "domains", "checkpoint", "checkpoints")
NAMING += ("score", "scores", "control", "controls", "unrelated")


def declared():
    """(room, name, key, option) of every option that a method, probe, figure or claim has."""
    for room in ROOMS:
        for name in source.available(room):
            for key, option in source.option_fields(source.module_name(room, name)).items():
                yield room, name, key, option


@pytest.mark.parametrize("room", ROOMS)
def test_every_option_says_what_it_allows(room):
    """What no rule can be read of is found wrong by a job, after hours."""
    for of, name, key, option in declared():
        if of != room:
            continue
        where, kinds = f"{room}.{name}.{key}", items_of(option) or kinds_of(option.type)
        several = "tuple" in kinds_of(option.type)
        assert kinds and (not several or items_of(option)), f"{where}: of which type is it, or are its items?"
        assert option.default is ... or misfit(option, option.default) is None, f"{where}: its default"
        if {"int", "float"} & set(kinds):
            bounded = option.size or option.low is not None or option.above is not None
            assert bounded, f"{where}: a number without a lower bound"
        if "str" in kinds:
            assert option.choices or option.of, f"{where}: a text without choices, which names nothing"
        if key in NAMING:
            assert option.of or option.choices, f"{where}: what does it name?"


def test_places_that_options_speak_of_are_there(folder):
    study = load(["config.yaml"], ["with=[ladder, comparison]"])
    for room, name, key, option in declared():
        bounds = [getattr(option, bound) for bound in BOUNDS]
        spoken = [option.of, *(option.asks or {}).values(), *(b for b in bounds if isinstance(b, str))]
        for place in filter(None, spoken):
            if room == "claims" and place == "checkpoints":
                continue
            path = (room, name, key)
            assert places.at(study, place, path) is not None, ".".join(path)
        fields = source.option_fields(source.module_name(room, name))
        assert not option.when or option.when[1] in fields[option.when[0]].choices
        assert set(option.asks or ()) <= set(option.choices or ())


def test_rules_between_options_are_of_options_that_there_are():
    for room in ROOMS:
        for name in source.available(room):
            module = source.module_name(room, name)
            fields = source.option_fields(module)
            for rule in RELATIONS:
                for key, others in source.class_literal(module, rule, default={}).items():
                    others = [others] if isinstance(others, str) else others
                    assert {key, *others} <= set(fields), (room, name, rule)
                if rule == "ONLY":
                    for allowed in source.class_literal(module, rule, default={}).values():
                        assert all(set(values) <= set(fields[o].choices) for o, values in allowed.items())
            assert options.check_relations((room, name), options.with_defaults(module, {}), module) is None
