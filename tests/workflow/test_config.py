"""A wrong config ends in one line: file, key, what was found, what is allowed. All through `snakemake -n`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import studies
import yaml

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
    "domains: {code: {sources: {mine: {loader: jsonl, limit: 5}}}}": ("sources.mine.", "nothing", "str"),
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
    "probes: {activations: {top_k: [0.1, 0]}}": ("probes.activations.top_k[1]", "0", "share between 0 and 1"),
    "probes: {activations: {top_k: []}}": ("probes.activations.top_k", "empty list", "at least one entry"),
    "probes: {activations: {thresholds: [1.0]}}": ("probes.activations.thresholds[0]", "1", "number > 0 < 1"),
    "probes: {gradients: {documents: 65}}": ("probes.gradients.documents", "65", "<= splits.probe (64)"),
    "probes: {gradients: {documents: 1}}": ("probes.gradients.documents", "1", "integer >= 2"),
    "probes: {gradients: {dim: 500}}": ("probes.gradients.dim", "500", "a multiple of rank (16)"),
    "probes: {gradients: {stages: last}}": ("probes.gradients.stages", "'last'", "base | final | all"),
    "probes: {drift: {documents: 65}}": ("probes.drift.documents", "65", "<= splits.probe (64)"),
    "probes: {drift: {stages: base}}": ("probes.drift.stages", "'base'", "final | all"),
    "probes: {drift: {documents: 3}}": ("probes.drift.documents", "3", "integer >= 4"),
    "probes: {thresholds: {documents: 65}}": ("probes.thresholds.documents", "65", "<= splits.probe (64)"),
    "probes: {thresholds: {levels: [1.0]}}": ("probes.thresholds.levels[0]", "1", "number >= 0 < 1"),
    "probes: {thresholds: {per: neuron}}": ("probes.thresholds.per", "'neuron'", "layer | expert"),
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
    # references between entries
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
    "with: ladder\noptional: {ladder: false, comparison: false}": (
        "with",
        "'ladder'",
        "none, there is no optional part",
    ),
    "optional: {mine: 3}": ("optional.mine", "3", "a mapping, or false"),
    "optional: {mine: {seed: 1}}": ("seed", "unknown key", "did you mean seeds?"),
    "optional: {mine: {models: {x: {source: zoo}}}}": ("models.x.source", "'zoo'", "package | hub"),
    "optional: {mine: {with: [ladder]}}": ("optional.mine", "mapping", "without optional and with"),
    # what YAML readers pass over
    "training: {steps: 5}\ntraining: {steps: 6}": ("training", "second entry", "one"),
    "methods: {lora: {rank: 4, rank: 8}}": ("methods.lora.rank", "second entry", "one"),
    "orders: {on: [code]}": ("orders", "the key on", "text (in quotes)"),
}


def dry_run(*arguments, config=None, overlay=None):
    """`snakemake -n` in a folder with nothing but its config."""
    with TemporaryDirectory() as folder:
        shutil.copy(ROOT / "config.yaml", folder)
        if config is not None:
            Path(folder, "config.yaml").write_bytes(config)
        if overlay is not None:
            Path(folder, "overlay.yaml").write_text(overlay)
            arguments = (*arguments, "--configfile", "overlay.yaml")
        return studies.snakemake(folder, "-s", ROOT / "Snakefile", "-n", "-d", ".", *arguments)


def snakemake(*arguments, config=None, overlay=None):
    """Exit status and stderr lines of a dry run."""
    done = dry_run(*arguments, config=config, overlay=overlay)
    lines = [
        line
        for line in done.stderr.splitlines()
        if line and not line.startswith("Config file config.yaml is ")
    ]
    return done.returncode, lines


@pytest.mark.parametrize("overlay", WRONG, ids=[key for key, *_ in WRONG.values()])
def test_wrong_config_is_one_line(overlay):
    status, lines = snakemake(overlay=overlay)
    assert status == 1
    assert len(lines) == 1, lines
    key, result, allowed = WRONG[overlay]
    file, place, rest = lines[0].split(": ", 2)
    # of something switched off, the file is named that still wants it
    assert file.startswith("overlay.yaml") or overlay.endswith((": false}", ": false}}"))
    assert key in place
    assert result in rest.split(", allowed: ")[0]
    assert allowed in rest.split(", allowed: ")[1]


@pytest.mark.parametrize(
    "config, expected",
    [
        (b"training: {steps: 5\n", "config.yaml:2: (top level): found broken YAML"),
        (b"a:\n\tb: 1", "config.yaml:2: (top level): found broken YAML"),
        (b"\xff\xfe\xfa", "(top level): found broken YAML"),
        (b"- models", "config.yaml: (top level): found ['models'], allowed: a mapping"),
        (b"", "config.yaml: (top level): found nothing, allowed: a mapping"),
        (b"seeds: [0]", "config.yaml: models: found nothing, allowed: mapping with at least one entry"),
    ],
)
def test_wrong_base_file_is_one_line(config, expected):
    status, lines = snakemake(config=config)
    assert status == 1
    assert len(lines) == 1, lines
    assert expected in lines[0]


def test_a_value_of_the_command_line_is_named_as_such():
    status, lines = snakemake("--config", "training={steps: -1}")
    assert (status, lines) == (1, ["--config: training.steps: found -1, allowed: integer >= 1"])


def test_values_of_the_command_line_have_their_types():
    status, lines = snakemake(
        "--quiet", "all", "--config", "training={steps: 3, learning_rate: 1e-3}", "seeds=[0, 1]"
    )
    assert status == 0, lines


def jobs(*arguments, overlay=None):
    """Jobs of a dry run in an empty folder, as `rule: wildcards`."""
    done = dry_run("all", *arguments, overlay=overlay)
    assert done.returncode == 0, done.stderr
    result, rule = set(), None
    for line in done.stdout.splitlines():
        if line.startswith(("rule ", "localrule ")):
            rule = line.split()[1]
        elif line.strip().startswith("wildcards:"):
            result.add(f"{rule} {line.split('wildcards: ')[1]}")
    return result


def test_an_optional_part_is_laid_when_it_is_asked_for():
    ladder = yaml.safe_load((ROOT / "config.yaml").read_text())["optional"]["ladder"]
    plain, asked = jobs(), jobs("--config", "with=ladder")
    left_out = {f"draw_figure: figure={name}" for name, entry in ladder["figures"].items() if entry is False}
    assert plain - asked == left_out
    more = asked - plain
    for rule, of in (("prepare_model", ""), ("evaluate_checkpoint", ", checkpoint=base")):
        assert {f"{rule}: model={model}{of}" for model in ladder["models"]} <= more
    assert not any(job.startswith("train_adapter") for job in more), "its models are measured, not trained"
    assert {"probe_table: probe=routing_overlap", "draw_figure: figure=overlap_by_width"} <= more


def test_the_comparison_has_every_method_for_a_dense_model_with_its_controls_in_a_sweep():
    part = yaml.safe_load((ROOT / "config.yaml").read_text())["optional"]["comparison"]
    files = {path.stem for path in (ROOT / "scripts/implicit_sparsity/methods").glob("[a-z]*.py")}
    named = {
        job.split("method=")[1].split(",")[0]
        for job in jobs("--config", "with=comparison")
        if "method=" in job
    }
    families = {name.partition("_learning_rate_")[0] for name in named}
    controlled = {"activation_mask_random", "orthogonal_random", "curvature_random", "selective_write_random"}
    assert set(part["methods"]) | controlled <= families
    # expert_mask is for mixtures alone; side_branch grows the model that the others leave as wide as it was
    assert files - {"base", "expert_mask", "side_branch"} == set(part["methods"])
    for family in families:
        settings = {name for name in named if name.startswith(f"{family}_learning_rate_")}
        entry = max((name for name in part["methods"] if family.startswith(name)), key=len)
        assert len(settings) == len(part["methods"][entry]["sweep"]["learning_rate"]) >= 2


def test_a_later_file_has_its_say_over_an_optional_part_or_replaces_it():
    part = {"models": {"other": NANO["nano_dense"]}}
    asked = jobs("--config", "with=[ladder]", overlay="models: {nano_64: false}")
    assert "prepare_model: model=nano_96" in asked and "prepare_model: model=nano_64" not in asked
    replaced = jobs("--config", "with=ladder", overlay=yaml.safe_dump({"optional": {"ladder": part}}))
    assert {job for job in replaced if job.startswith("prepare_model")} == {
        "prepare_model: model=other",
        "prepare_model: model=smollm2",
    }
    stages = {job for job in replaced if job.startswith("train_adapter: model=other")}
    assert len(stages) == 12, "a model is trained unless it says otherwise"


def test_without_a_trained_model_there_is_nothing_but_base():
    trained = ("r_heatmaps", "forgetting_learning", "loss_curves", "method_comparison", "rounds")
    figures = f"{{{', '.join(f'{name}: false' for name in trained)}}}"
    result = jobs(overlay=f"models: {{smollm2: {{trained: false}}}}\nfigures: {figures}")
    assert {job for job in result if job.startswith("evaluate_checkpoint")} == {
        "evaluate_checkpoint: model=smollm2, checkpoint=base"
    }
    assert not any(job.startswith("train_adapter") for job in result)


def test_a_wrong_config_is_refused_before_anything_slow_is_imported(tmp_path):
    """So that it takes what Snakemake itself takes to start, two seconds."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "overlay.yaml").write_text("orders: {forward: [code, maths]}")
    options = ["-X", "importtime", "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "-d", "."]
    command = [sys.executable, *options, "--configfile", "overlay.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=studies.environment(), capture_output=True, text=True)
    imported = set(re.findall(r"^import time:.*\| +(\w+)$", done.stderr, re.M))
    assert done.returncode == 1 and "maths" in done.stderr and "yaml" in imported
    assert not imported & {
        "torch",
        "transformers",
        "peft",
        "datasets",
        "zarr",
        "xarray",
        "matplotlib",
        "scipy",
    }


def properties(schema, root):
    """Properties of one part of the schema, references followed."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | schema
    return schema.get("properties", {}), schema.get("additionalProperties")


def undescribed(content, schema, root, path=()):
    """Keys of a config that the schema does not know or does not describe."""
    known, other = properties(schema, root)
    for key, value in content.items():
        part = known.get(key, other if isinstance(other, dict) else None)
        if part is None:
            if other is False:
                yield ".".join((*path, key))
            continue  # options of a module: the module describes them
        if key in known and "description" not in part:
            yield ".".join((*path, key))
        for conditional in part.get("allOf", ()):
            if isinstance(value, dict) and conditional["if"]["properties"]["source"]["const"] == value.get(
                "source"
            ):
                part = conditional["then"]
        if isinstance(value, dict):
            yield from undescribed(value, part, root, (*path, key))


@pytest.mark.parametrize("file", ["config.yaml", "tests/nano.yaml"])
def test_schema_describes_every_key(file):
    schema = yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text())
    content = yaml.safe_load((ROOT / file).read_text())
    if file == "tests/nano.yaml":
        assert content["models"].pop("smollm2") is False
    assert list(undescribed(content, schema, schema)) == []


def test_defaults_have_every_key_of_the_schema():
    schema = yaml.safe_load((ROOT / "rules/config.schema.yaml").read_text())
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    # where jobs run is not said in config.yaml: `hardware` is for overlays
    assert set(config) == set(schema["properties"]) - {"hardware"}
    for section in ("splits", "tokens", "training", "evals"):
        assert set(config[section]) == set(schema["properties"][section]["properties"])
        assert set(schema["properties"][section]["required"]) == set(config[section])
    activations = schema["properties"]["probes"]["properties"]["activations"]
    assert (
        set(config["probes"]["activations"]) == set(activations["properties"]) == set(activations["required"])
    )
