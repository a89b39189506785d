"""Keys that say what is trained: entries of methods, and the budget of a stage."""

import pytest
import refusals

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "training: {lr: 1.0}": ("training.lr", "unknown key", "learning_rate"),
    "training: {format_warmup: {steps: 0, documents: 8}}": ("format_warmup.steps", "0", "integer >= 1"),
    "training: {format_warmup: {steps: 8, documents: 0}}": ("format_warmup.documents", "0", "integer >= 1"),
    "training: {format_warmup: {steps: 8, documents: 5000}}": ("documents", "5000", "and <= 4096"),
    "training: {format_warmup: {steps: 8}}": ("format_warmup.documents", "nothing", "integer >= 1"),
    "training: {format_warmup: {rank: 8}}": ("format_warmup.rank", "unknown key", "documents, steps"),
    "training: {format_warmup: true}": ("training.format_warmup", "true", "false, or {steps, documents}"),
    "training: {steps: 0}": ("training.steps", "0", "integer >= 1"),
    "training: {steps: many}": ("training.steps", "'many'", "integer >= 1"),
    "training: {steps: true}": ("training.steps", "true", "integer >= 1"),
    "training: {learning_rate: -1.0e-3}": ("training.learning_rate", "-0.001", "number > 0"),
    "methods: {lora: }": ("methods.lora", "nothing", "mapping"),
    "methods: {lora: {sweep: {rank: 3}}}": ("methods.lora.sweep.rank", "3", "list of values"),
    "methods: {lora: {controls: 3}}": ("methods.lora.controls", "3", "true or false"),
    "methods: {lora: {models: []}}": ("methods.lora.models", "an empty list", "with at least one entry"),
    "methods: {lora: {models: [smollm2, smollm2]}}": ("lora.models", "'smollm2' twice", "each value once"),
    "methods: {lora: {sweep: {}}}": ("methods.lora.sweep", "an empty mapping", "mapping"),
    "methods: {lora: {sweep: {rank: []}}}": ("methods.lora.sweep.rank", "an empty list", "list of values"),
    "methods: {lora: {sweep: {rank: [4, 4]}}}": ("methods.lora.sweep.rank", "4 twice", "each value once"),
    "methods: {LoRA: {}}": ("methods.LoRA", "'LoRA'", "lower-case letters"),
    "training: {warmup: -1}": ("training.warmup", "-1", "integer >= 0"),
    "training: {weight_decay: -0.1}": ("training.weight_decay", "-0.1", "number >= 0"),
    "training: {clip: 0}": ("training.clip", "0", "number > 0"),
    "training: {constraint_tolerance: 2}": ("training.constraint_tolerance", "2", " and <= 1"),
    "training: {packing: 1}": ("training.packing", "1", "true or false"),
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])
