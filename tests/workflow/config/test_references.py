"""What no single key of a config can say: references between entries, sizes that fit each other."""

import copy
from pathlib import Path

import pytest
import refusals
import yaml

from implicit_sparsity.workflow.config import references, sizes
from implicit_sparsity.workflow.config.error import ConfigError

ROOT = Path(__file__).parents[3]
NANO = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())["models"]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SIZES, LENGTH = CONFIG["splits"], CONFIG["tokens"]["max_length"]
TRAIN, CHARS, STEPS = SIZES["train"], SIZES["max_chars"], CONFIG["training"]["steps"]
WIDTH, RANK = CONFIG["models"]["smollm2"]["width"], CONFIG["probes"]["gradients"]["rank"]
EACH = CONFIG["probes"]["relearning"]["batch_size"]


def shaped(kind, **changes) -> str:
    """An overlay with a nano model whose architecture says something else."""
    return yaml.safe_dump({"models": {"x": NANO[kind] | {"config": NANO[kind]["config"] | changes}}})


WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "tokens: {template: {before: '', between: '', after: ''}}\n"
    "training: {format_warmup: {steps: 8, documents: 8}}": (
        "training.format_warmup",
        "tokens.template.after is empty",
        "false with bare text",
    ),
    "training: {format_warmup: {steps: 8, documents: 8}}\n"
    f"models: {{x: {{source: hub, repo: a/b, revision: {'a' * 40}, layers: 1, width: 8,"
    " quantization: nf4}}": (
        "models.x.quantization",
        "'nf4'",
        "none where training.format_warmup is on",
    ),
    "comparisons: {reference: lroa}": ("comparisons.reference", "'lroa'", "did you mean lora?"),
    f"probes: {{gradients: {{dim: {RANK + 1}}}}}": (
        "probes.gradients.dim",
        f"{RANK + 1}",
        f"a multiple of rank ({RANK})",
    ),
    f"probes: {{relearning: {{documents: [10, {(TRAIN // EACH + 1) * EACH}]}}}}": (
        "probes.relearning.documents",
        f"[10, {(TRAIN // EACH + 1) * EACH}]",
        f"<= splits.train ({TRAIN})",
    ),
    "probes: {relearning: {documents: [8, 9], batch_size: 4}}": (
        "probes.relearning.documents",
        "[8, 9]",
        "a multiple of batch_size (4)",
    ),
    "probes: {relearning: {unrelated: history}}": (
        "probes.relearning.unrelated",
        "'history', which is no untrained domain",
        "knowledge",
    ),
    "probes: {relearning: {unrelated: math}}": (
        "probes.relearning.unrelated",
        "'math', which is no untrained domain",
        "knowledge",
    ),
    "probes: {relearning: {relearn: [6]}}": (
        "probes.relearning.relearn",
        "[6]",
        "numbers among documents ([10, 50])",
    ),
    "probes: {relearning: {methods: [lroa]}}": (
        "probes.relearning.methods[0]",
        "no method",
        "did you mean lora?",
    ),
    f"probes: {{activations: {{skip_first: {LENGTH}}}}}": (
        "activations.skip_first",
        f"{LENGTH}",
        f"< tokens.max_length ({LENGTH})",
    ),
    "probes: {activations: {top_k: [1.5]}}": ("probes.activations.top_k", "[1.5]", "shares below 1"),
    "probes: {gradient_overlap: {k: [2.5]}}": ("probes.gradient_overlap.k", "[2.5]", "integers >= 1"),
    f"probes: {{activations: {{top_k: [{WIDTH + 1}]}}}}": (
        "probes.activations.top_k[0]",
        f"{WIDTH + 1}",
        f"<= {WIDTH}",
    ),
    f"probes: {{activation_overlap: {{k: [0.1, {WIDTH + 1}]}}}}": (
        "probes.activation_overlap.k[1]",
        f"{WIDTH + 1}",
        "models.smollm2",
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
    "orders: {forward: [code, math, code]}": (
        "orders.forward[2]",
        "'code' a second time",
        "each domain once",
    ),
    "reference: maths": ("reference", "'maths', which is no domain", "did you mean math?"),
    "reference: math": ("reference", "'math', which orders.forward trains", "a domain in no order"),
    "reference: 3": ("reference", "3", "an entry of domains, or false"),
    "domains: {general: false}": ("domains.general", "'general'", "math, medical"),
    "figures: {drift_by_layer: {domain: maths}}": (
        "figures.drift_by_layer.domain",
        "'maths'",
        "did you mean math?",
    ),
    "models: {x: {source: path, path: no/where, layers: 2, width: 64}}": (
        "models.x.path",
        "no/where",
        "model's folder",
    ),
    shaped("nano_moe", num_experts_per_tok=5): (
        "models.x.config.num_experts_per_tok",
        "5",
        "integer <= 4",
    ),
    f"training: {{warmup: {STEPS}}}": (
        "training.warmup",
        f"{STEPS}",
        f"integer < training.steps ({STEPS})",
    ),
    "evals: {generate: [maths]}": ("evals.generate[0]", "'maths', which is no domain", "did you mean math?"),
    f"tokens: {{min_completion: {LENGTH}}}": ("tokens.min_completion", f"{LENGTH}", "< tokens.max_length"),
    f"splits: {{min_chars: {CHARS + 1}}}": ("splits.min_chars", f"{CHARS + 1}", "<= splits.max_chars"),
    shaped("nano_dense", num_attention_heads=3, num_key_value_heads=2): (
        "models.x.config.num_attention_heads",
        "3",
        "a multiple of num_key_value_heads (2)",
    ),
    shaped("nano_dense", linear_num_value_heads=3): (
        "models.x.config.linear_num_value_heads",
        "3",
        "a multiple of linear_num_key_heads (2)",
    ),
    f"probes: {{hubs: {{k: {WIDTH + 1}}}}}": (
        "probes.hubs.k",
        f"{WIDTH + 1}",
        f"a count <= {WIDTH}, the width of models.smollm2",
    ),
}
HUB = f"{{source: hub, repo: a/b, revision: {'a' * 40}, layers: 1, width: 4000, quantization: nf4}}"
WRONG |= {
    f"models: {{x: {HUB}}}\nmethods: {{full: {{}}}}": (
        "methods.full",
        "the weights of x as numbers, which are nf4",
        "without",
    ),
    f"models: {{x: {HUB}}}\nmethods: {{side_branch: {{}}}}": (
        "methods.side_branch",
        "the weights of x as numbers",
        "without",
    ),
    f"models: {{x: {HUB}}}\nmethods: {{structured_sparsity: {{}}}}": (
        "methods.structured_sparsity",
        "the weights of x as numbers",
        "without",
    ),
    f"models: {{x: {HUB}}}\nmethods: {{mine: {{uses: osf, models: [x]}}}}": (
        "methods.mine",
        "the weights of x",
        "models without quantization",
    ),
}
LIMITS = {  # what counts documents -> the split that has them
    "evals.documents": "eval",
    "evals.choice_items": "eval",
    "evals.generation_items": "eval",
    "probes.relearning.scored": "eval",
    "probes.gradients.documents": "probe",
    "probes.drift.documents": "probe",
    "probes.thresholds.documents": "probe",
    "probes.plasticity_task.documents": "probe",
}


def setting(key, value) -> str:
    """The YAML that sets a key, its names joined by dots."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return yaml.safe_dump(value)


WRONG |= {
    setting(key, SIZES[split] + 1): (
        key,
        f"{SIZES[split] + 1}",
        f"<= splits.{split} ({SIZES[split]})",
    )
    for key, split in LIMITS.items()
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


def config(**sections) -> dict:
    """config.yaml with other sections."""
    return copy.deepcopy(CONFIG) | sections


def test_what_just_fits_is_taken():
    whole = config(training={"warmup": 19, "steps": 20})
    whole["evals"] |= dict.fromkeys(("documents", "choice_items", "generation_items"), SIZES["eval"])
    whole["splits"]["min_chars"] = CHARS
    whole["tokens"]["min_completion"] = LENGTH - 1
    whole["probes"]["activations"] = {"top_k": [WIDTH]}
    for check in ("budgets", "models", "orders", "reference", "tables"):
        getattr(references, f"check_{check}")(whole)
    sizes.check_sizes(whole)


def test_a_reference_set_is_a_domain_beside_those_of_the_orders():
    one = {"x": {"sources": {}}}
    references.check_reference({"domains": one, "orders": {}})
    references.check_reference({"domains": one, "orders": {}, "reference": False})
    both = {"domains": one | {"y": {"sources": {}}}, "orders": {"o": ["x"]}, "reference": "y"}
    references.check_reference(both)
    with pytest.raises(ConfigError, match="'x', the only domain"):
        references.check_reference({"domains": one, "orders": {}, "reference": "x"})


def test_a_probe_may_not_be_called_like_a_table_of_scores():
    with pytest.raises(ConfigError) as error:
        references.check_tables({"probes": {"fronts": {}}, "figures": {}})
    assert str(error.value).startswith(
        "probes.fronts: found the name of another table, allowed: any name but"
    )


def test_a_range_may_be_one_number_and_cards_may_be_left_out():
    budget = {"x": {"total_hours": [3, 3], "memory_gb": [0, 80]}}
    references.check_hardware({"hardware": {"cards_per_job": {"x": 8}, "budget": budget}})
    references.check_hardware({})


def test_the_reference_may_be_a_control_and_without_methods_there_is_none():
    given = {"comparisons": {"reference": "lora_random"}}
    references.check_comparisons(given, {"a": {"family": "lora"}, "b": {"family": "lora_random"}})
    references.check_comparisons(given, {})
