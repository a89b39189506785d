"""A wrong config ends in one line: file, key, what was found, what is allowed."""

import shutil
from pathlib import Path

import pytest
import yaml

from implicit_sparsity.workflow.config import names
from implicit_sparsity.workflow.config.error import ConfigError, one_line
from implicit_sparsity.workflow.config.load import load

ROOT = Path(__file__).parents[2]
HEX = "0123456789abcdef0123456789abcdef01234567"
HUB = f"source: hub, repo: a/b, revision: {HEX}, layers: 2, width: 64"
NANO = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())["models"]

# overlay of config.yaml -> key, found, allowed (parts of the line)
WRONG = {
    # unknown and missing keys
    "mehtods: {}": ("mehtods", "unknown key", "did you mean methods?"),
    "training: {lr: 1.0}": ("training.lr", "unknown key", "learning_rate"),
    "methods: {lora: {rnak: 8}}": ("methods.lora.rnak", "unknown key", "did you mean rank?"),
    "probes: {activation_sparsity: {top: 1}}": ("probes.activation_sparsity.top", "unknown key", "top_p"),
    "figures: {r_heatmaps: {colour: red}}": ("figures.r_heatmaps.colour", "unknown key", "scores"),
    "domains: {code: {sources: {human_eval: {limits: 3}}}}": (
        "domains.code.sources.human_eval.limits",
        "unknown key",
        "did you mean limit?",
    ),
    "models: {other: {layers: 2}}": ("models.other.source", "nothing", "package | hub | path | scratch"),
    "models: {other: {source: hub, repo: a/b}}": (
        "models.other.revision",
        "nothing",
        "40 hexadecimal digits",
    ),
    "domains: {law: {}}": ("domains.law.sources", "nothing", "mapping"),
    "domains: {code: {sources: {mine: {loader: jsonl, limit: 5}}}}": ("sources.mine.", "nothing", "text"),
    "claims: {h1a: {threshold: 2}}": ("claims.h1a.threshold", "2", "<= 1"),
    "claims: {h5: {threshold: 0.1, predictor: luck}}": (
        "claims.h5.predictor",
        "'luck'",
        "overlap | gradient",
    ),
    "claims: {h9: {threshold: 1}}": ("claims.h9", "module of claims", "h1a"),
    "comparisons: {reference: lroa}": ("comparisons.reference", "'lroa'", "did you mean lora?"),
    "comparisons: {at: middle}": ("comparisons.at", "'middle'", "reference | common | number"),
    "comparisons: {margins: {loss: 0}}": ("comparisons.margins.loss", "0", "> 0"),
    "comparisons: {margins: {bleu: 1}}": ("comparisons.margins.bleu", "unknown key", "loss"),
    # types and limits
    "training: {steps: 0}": ("training.steps", "0", "integer >= 1"),
    "training: {steps: many}": ("training.steps", "'many'", "integer >= 1"),
    "training: {steps: true}": ("training.steps", "true", "integer >= 1"),
    "training: {learning_rate: -1.0e-3}": ("training.learning_rate", "-0.001", "number > 0"),
    "training: {learning_rate: .nan}": ("training.learning_rate", "nan", "a finite number"),
    "models: {smollm2: {precision: fp16}}": ("models.smollm2.precision", "'fp16'", "fp32 | bf16"),
    "methods: {lora: {rank: 0}}": ("methods.lora.rank", "0", "integer >= 1"),
    "methods: {lora: {rank: 2.5}}": ("methods.lora.rank", "2.5", "integer >= 1"),
    "methods: {lora: {targets: everything}}": ("methods.lora.targets", "'everything'", "all | mlp"),
    "methods: {activation_mask: {fraction: 1.5}}": ("methods.activation_mask.fraction", "1.5", "<= 1"),
    "methods: {lora: }": ("methods.lora", "nothing", "mapping"),
    "probes: {activation_overlap: {score: loudest}}": (
        "activation_overlap.score",
        "'loudest'",
        "mean_abs | ",
    ),
    "probes: {activations: {stages: last}}": ("probes.activations.stages", "'last'", "base | final | all"),
    "probes: {activations: {top_k: [0.1, 0]}}": ("probes.activations.top_k", "[0.1, 0]", "numbers >= 1e-06"),
    "probes: {activations: {top_k: []}}": ("probes.activations.top_k", "[]", "at least one entry"),
    "probes: {activations: {thresholds: [1.0]}}": ("probes.activations.thresholds", "[1]", "<= 0.999999"),
    "probes: {gradients: {documents: 65}}": ("probes.gradients.documents", "65", "<= splits.probe (64)"),
    "probes: {gradients: {documents: 1}}": ("probes.gradients.documents", "1", "integer >= 2"),
    "probes: {gradients: {dim: 500}}": ("probes.gradients.dim", "500", "a multiple of rank (16)"),
    "probes: {gradients: {stages: last}}": ("probes.gradients.stages", "'last'", "base | final | all"),
    "probes: {drift: {documents: 65}}": ("probes.drift.documents", "65", "<= splits.probe (64)"),
    "probes: {drift: {stages: base}}": ("probes.drift.stages", "'base'", "final | all"),
    "probes: {drift: {documents: 3}}": ("probes.drift.documents", "3", "integer >= 4"),
    "probes: {thresholds: {documents: 65}}": ("probes.thresholds.documents", "65", "<= splits.probe (64)"),
    "probes: {thresholds: {levels: [1.0]}}": ("probes.thresholds.levels", "[1]", "<= 0.999999"),
    "probes: {thresholds: {per: neuron}}": ("probes.thresholds.per", "'neuron'", "layer | expert"),
    "probes: {activations: false}": ("probes.activations", "nothing", "mapping"),
    "probes: {plasticity_task: false}": (
        "probes.plasticity",
        "reads plasticity_task",
        "entry plasticity_task under",
    ),
    "probes: {plasticity_task: {documents: 65}}": (
        "probes.plasticity_task.documents",
        "65",
        "<= splits.probe (64)",
    ),
    "probes: {plasticity_task: {stages: last}}": (
        "probes.plasticity_task.stages",
        "'last'",
        "base | final | all",
    ),
    "probes: {input_spectra: {layers: 9}}": ("probes.input_spectra.layers", "9", "<= 8"),
    "probes: {plasticity: {target: 2}}": ("probes.plasticity.target", "2", "1"),
    "probes: {thresholds: false}": ("probes.critical_sparsity", "reads thresholds", "entry thresholds under"),
    "probes: {drift: false}": ("probes.representation_drift", "reads drift", "entry drift under"),
    "probes: {gradients: false}": ("probes.gradient_overlap", "reads gradients", "entry gradients under"),
    "splits: {near_duplicate: 80}": ("splits.near_duplicate", "80", "<= 1"),
    "tokens: {template: chatml}": ("tokens.template", "'chatml'", "mapping"),
    "tokens: {template: {middle: x}}": ("tokens.template.middle", "unknown key", "after, before, between"),
    "tokens: {on_long: split}": ("tokens.on_long", "'split'", "truncate | drop"),
    "seeds: 0": ("seeds", "0", "list"),
    "models: {Big: {source: path}}": ("models.Big", "'Big'", "lower-case letters"),
    "models: {smollm2: false}": ("models", "an empty mapping", "at least one entry"),
    "models: {x: {source: zoo}}": ("models.x.source", "'zoo'", "package | hub | path | scratch"),
    f"models: {{x: {{{HUB.replace(HEX, 'main')}}}}}": (
        "models.x.revision",
        "'main'",
        "40 hexadecimal digits",
    ),
    f"models: {{x: {{{HUB}, file: y}}}}": (
        "models.x.file",
        "unknown key",
        "repo, revision, source, trained, width",
    ),
    "probes: {activation_overlap: {k: [0.1, 0.1]}}": ("activation_overlap.k", "0.1 twice", "each value once"),
    "probes: {activations: {top_k: [1.5]}}": ("probes.activations.top_k[0]", "1.5", "a share below 1"),
    "probes: {gradient_overlap: {k: [2.5]}}": ("probes.gradient_overlap.k[0]", "2.5", "or a count"),
    "probes: {activations: {skip_first: 128}}": (
        "activations.skip_first",
        "128",
        "< tokens.max_length (128)",
    ),
    "domains: {code: {sources: {human_eval: {max_chars: -3}}}}": ("human_eval.max_chars", "-3", ">= 0"),
    "methods: {curvature: {router: true}}": ("methods.curvature.router", "true", "false"),
    "figures: {overlap_by_layer: {control: nope}}": ("overlap_by_layer.control", "'nope'", "'' | bare"),
    # references between entries
    "claims: {h2a: {method: activation_msk}}": (
        "claims.h2a.method",
        "'activation_msk', which is no method",
        "did you mean activation_mask?",
    ),
    "claims: {h2a: {against: lroa}}": ("claims.h2a.against", "'lroa'", "did you mean lora?"),
    "claims: {h4: {methods: [lroa]}}": ("claims.h4.methods[0]", "'lroa'", "did you mean lora?"),
    "claims: {h1d: {models: [nope]}}": ("claims.h1d.models[0]", "'nope'", "smollm2"),
    "figures: {overview: {models: [x]}}": ("figures.overview.models[0]", "'x', which is no model", "smollm2"),
    "figures: {method_comparison: {score: los}}": ("method_comparison.score", "'los'", "did you mean loss?"),
    "hardware: {card: h200, cards_per_job: {smolm2: 2}}": (
        "hardware.cards_per_job.smolm2",
        "which is no model",
        "did you mean smollm2?",
    ),
    "hardware: {card: h200, cards: 1, cards_per_job: {smollm2: 2}}": (
        "hardware.cards_per_job.smollm2",
        "2",
        "<= hardware.cards (1)",
    ),
    "hardware: {card: h200, budget: {smollm2: {memory_gb: [5, 1]}}}": (
        "hardware.budget.smollm2.memory_gb",
        "[5, 1]",
        "the lower end",
    ),
    # removals
    "methods: {orthogonl: false}": ("methods.orthogonl", "no file has", "did you mean orthogonal?"),
    "figures: {hub: false}": ("figures.hub", "no file has", "did you mean hubs?"),
    "models: {qq: false}": ("models.qq", "no file has", "smollm2"),
    "domains: {code: {sources: {human_evl: false}}}": (
        "code.sources.human_evl",
        "no file has",
        "did you mean human_eval?",
    ),
    "optional: {ladder: {figures: {hub: false}}}": ("figures.hub", "no file has", "did you mean hubs?"),
    "orders: {forward: [code, maths]}": (
        "orders.forward[1]",
        "'maths', which is no domain",
        "did you mean math?",
    ),
    "orders: {forward: [code, math, code]}": (
        "orders.forward[2]",
        "'code' a second time",
        "each domain once",
    ),
    "domains: {general: false}": ("orders.forward[3]", "'general'", "code, math, medical"),
    "seeds: [0, 1, 0]": ("seeds", "0 twice", "each value once"),
    "methods: {lora: {sweep: {learning_rate: [0.1, 2]}}}": (
        "methods.lora.sweep.learning_rate",
        "2",
        "<= 1",
    ),
    "methods: {lora: {sweep: {lr: [0.1]}}}": ("methods.lora.sweep.lr", "unknown key", "learning_rate"),
    "methods: {lora: {sweep: {rank: 3}}}": ("methods.lora.sweep.rank", "3", "list of values"),
    "methods: {lora: {sweep: {learning_rate: [0.1, 0.10000001]}}}": (
        "methods.lora.sweep.learning_rate",
        "two values of one name",
        "six digits",
    ),
    "methods: {lora: {sweep: {rank: [4]}}, lora_rank_4: {uses: lora}}": (
        "methods.lora",
        "lora_rank_4, which is also another entry",
        "another name",
    ),
    "methods: {activation_mask: {controls: true, sweep: {choose: [active]}}}": (
        "methods.activation_mask.sweep.choose",
        "what its control",
        "another option",
    ),
    "methods: {lora: {models: [x]}}": ("methods.lora.models[0]", "no model", "smollm2"),
    "methods: {lora: {controls: 3}}": ("methods.lora.controls", "3", "true or false"),
    "probed_methods: [lor]": ("probed_methods[0]", "no method", "did you mean lora?"),
    "probed_methods: some": ("probed_methods", "'some'", "all, or a list of methods"),
    "methods: {loar: {}}": ("methods.loar", "no module of methods", "did you mean lora?"),
    "methods: {wide: {uses: lroa}}": ("methods.wide.uses", "'lroa'", "did you mean lora?"),
    "probes: {overlap: {}}": ("probes.overlap", "no module of probes", "activation_overlap"),
    "figures: {drift_by_layer: {domain: maths}}": (
        "figures.drift_by_layer.domain",
        "'maths'",
        "did you mean math?",
    ),
    "figures: {heatmaps: {}}": ("figures.heatmaps", "no module of figures", "r_heatmaps"),
    "probes: {activation_overlap: false}": ("figures.overlap_by_layer", "which is not made", "under probes"),
    "domains: {code: {sources: {stdlib: {limit: 5}}}}": (
        "sources.stdlib",
        "no loader",
        "did you mean python_stdlib?",
    ),
    "probes: {activations: {top_k: [2000]}}": ("probes.activations.top_k[0]", "2000", "<= 1536"),
    "probes: {activation_overlap: {k: [0.1, 5000]}}": (
        "probes.activation_overlap.k[1]",
        "5000",
        "models.smollm2",
    ),
    "models: {x: {source: path, path: no/where, layers: 2, width: 64}}": (
        "models.x.path",
        "no/where",
        "model's folder",
    ),
    "domains: {code: {sources: {mine: {loader: jsonl, limit: 5, path: no.jsonl, fields: {}, licence: x}}}}": (
        "domains.code.sources.mine.path",
        "no.jsonl",
        "a file that exists",
    ),
    "training: {warmup: 20}": ("training.warmup", "20", "integer < training.steps (20)"),
    "evals: {generate: [maths]}": ("evals.generate[0]", "'maths', which is no domain", "did you mean math?"),
    "evals: {documents: 1000}": ("evals.documents", "1000", "<= splits.eval (48)"),
    "hardware: {card: a100}": ("hardware.card", "'a100'", "did you mean"),
    "hardware: {cards: 4}": ("hardware.card", "nothing", "a100_40gb | a100_80gb | h100_80gb | h200"),
    "hardware: {card: h200, cards: 0}": ("hardware.cards", "0", "integer >= 1"),
    "hardware: {card: h200, utilisation: {train: 1.5}}": ("hardware.utilisation.train", "1.5", "<= 1"),
    "hardware: {card: h200, budget: {smollm2: {total_hours: [3]}}}": (
        "hardware.budget.smollm2.total_hours",
        "[3]",
        "a list of two numbers",
    ),
    "tokens: {min_completion: 128}": ("tokens.min_completion", "128", "< tokens.max_length"),
    "splits: {min_chars: 9000}": ("splits.min_chars", "9000", "<= splits.max_chars"),
    yaml.safe_dump(
        {
            "models": {
                "x": NANO["nano_moe"] | {"config": NANO["nano_moe"]["config"] | {"num_experts_per_tok": 5}}
            }
        }
    ): (
        "models.x.config.num_experts_per_tok",
        "5",
        "integer <= 4",
    ),
    yaml.safe_dump(
        {"models": {"x": NANO["nano_dense"] | {"config": NANO["nano_dense"]["config"] | {"num_experts": 4}}}}
    ): (
        "models.x.config",
        "mapping",
        "without num_experts",
    ),
    "models: {smollm2: {trained: maybe}}": ("models.smollm2.trained", "'maybe'", "true or false"),
    # optional parts, asked for or not
    "with: laddr": ("with", "'laddr', which is no optional part", "did you mean ladder?"),
    "with: [ladder, more]": ("with", "'more', which is no optional part", "ladder"),
    "with: 3": ("with", "3", "a name or a list of names"),
    "with: ladder\noptional: {ladder: false, comparison: false, taste: false}": (
        "with",
        "'ladder'",
        "none, there is no optional part",
    ),
    "optional: [3]": ("optional", "[3]", "mapping"),
    "optional: {mine: 3}": ("optional.mine", "3", "a mapping, or false"),
    "optional: {mine: {seed: 1}}": ("seed", "unknown key", "did you mean seeds?"),
    "optional: {mine: {models: {x: {source: zoo}}}}": ("models.x.source", "'zoo'", "package | hub"),
    "optional: {mine: {with: [ladder]}}": ("optional.mine", "mapping", "without optional and with"),
    # what YAML readers pass over
    "training: {steps: 5}\ntraining: {steps: 6}": ("training", "second entry", "one"),
    "methods: {lora: {rank: 4, rank: 8}}": ("methods.lora.rank", "second entry", "one"),
    "orders: {on: [code]}": ("orders", "the key on", "text (in quotes)"),
    "seeds: &all [1, *all]": ("seeds[1]", "an alias of what it stands in", "values"),
    # names of both rooms are known
    "probes: {plasticity_taks: {}}": ("probes.plasticity_taks", "no module", "did you mean plasticity_task?"),
}

# of something switched off, the file is named that still wants it
SWITCHED_OFF = (": false}", ": false}}")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study's folder: nothing but its config."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*files, **command_line) -> str:
    """The line that these config files are refused with."""
    with pytest.raises(ConfigError) as error:
        load(files, command_line)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("overlay", WRONG, ids=[key for key, *_ in WRONG.values()])
def test_wrong_config_is_one_line(folder, overlay):
    (folder / "overlay.yaml").write_text(overlay)
    check_line(refused("config.yaml", "overlay.yaml"), overlay)


def check_line(line, overlay):
    key, result, allowed = WRONG[overlay]
    file, place, rest = line.split(": ", 2)
    assert file.startswith("overlay.yaml") or overlay.endswith(SWITCHED_OFF)
    assert key in place
    assert result in rest.split(", allowed: ")[0]
    assert allowed in rest.split(", allowed: ")[1]


BASE = {
    b"training: {steps: 5\n": "config.yaml:2: (top level): found broken YAML",
    b"a:\n\tb: 1": "config.yaml:2: (top level): found broken YAML",
    b"\xff\xfe\xfa": "(top level): found broken YAML",
    b"- models": "config.yaml: (top level): found ['models'], allowed: a mapping",
    b"": "config.yaml: (top level): found nothing, allowed: a mapping",
    b"seeds: [0]": "config.yaml: models: found nothing, allowed: mapping with at least one entry",
}


@pytest.mark.parametrize(("content", "expected"), BASE.items())
def test_wrong_base_file_is_one_line(folder, content, expected):
    (folder / "config.yaml").write_bytes(content)
    assert expected in refused("config.yaml")


def test_a_value_of_the_command_line_is_named_as_such(folder):
    line = refused("config.yaml", training={"steps": "-1"})
    assert line == "--config: training.steps: found -1, allowed: integer >= 1"
    assert refused("config.yaml", seeds="[1").startswith("--config: seeds: found broken YAML (")


def test_the_outermost_error_is_told_and_an_unknown_key_before_a_missing_one(folder):
    (folder / "overlay.yaml").write_text(
        "training: {steps: 0}\nmodels: {x: {source: path, paht: y}}\nevals: 3"
    )
    assert refused("config.yaml", "overlay.yaml") == "overlay.yaml: evals: found 3, allowed: mapping"
    (folder / "overlay.yaml").write_text("models: {x: {source: path, paht: y}}")
    assert "models.x.paht: found an unknown key" in refused("config.yaml", "overlay.yaml")


def test_the_last_file_that_says_it_is_named(folder):
    (folder / "overlay.yaml").write_text("training: {steps: 0}")
    (folder / "later.yaml").write_text("training: {clip: 2}")
    assert refused("config.yaml", "overlay.yaml", "later.yaml").startswith("overlay.yaml: training.steps: ")


def test_a_wrong_config_leaves_the_process_with_status_1(folder):
    with pytest.raises(SystemExit) as stop:
        one_line(load)(["config.yaml"], {"seeds": []})
    assert stop.value.code == "--config: seeds: found an empty list, allowed: list with at least one entry"


@pytest.mark.parametrize(
    "overlay",
    [
        "methods: {o_lora: false}",  # a module that this study does not use
        "models: {nano_64: false}",  # of an optional part that is not asked for
        "methods: {orthogonal: false}",  # H2b and H4 name it: NOT RUN
        "claims: {h2b: {threshold: 0.02, method: o_lora}}",
        "hardware: {card: h200, cards: 2, cards_per_job: {smollm2: 2}}",
    ],
)
def test_a_name_that_is_known_may_be_removed_or_passed_over(folder, overlay):
    (folder / "overlay.yaml").write_text(overlay)
    load(["config.yaml", "overlay.yaml"], {})


def test_what_the_lowest_file_switches_off_needs_no_file_below(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["domains"]["code"]["sources"]["mine"] = False
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert "mine" not in load(["config.yaml"], {}).given["domains"]["code"]["sources"]


def test_scores_are_those_of_the_evaluation():
    from implicit_sparsity.passes.evaluation import HIGHER_IS_BETTER

    assert set(names.SCORES) == set(HIGHER_IS_BETTER)
