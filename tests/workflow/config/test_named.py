"""Options that name something of the study: refused in the dry run, with the file to blame."""

from pathlib import Path

import pytest
import refusals

from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.load import load

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "figures: {overview: {models: [nope]}}": ("figures.overview.models[0]", "no model", "smollm2"),
    "figures: {overview: {models: [nano_64]}}": ("figures.overview.models[0]", "no model", "smollm2"),
    "figures: {overlap_by_layer: {checkpoint: nope}}": (
        "overlap_by_layer.checkpoint",
        "no checkpoint",
        "base",
    ),
    "figures: {rounds: {against: replay}}": ("figures.rounds.against", "no method", "lora, orthogonal"),
    "figures: {forgetting_learning: {score: rouge}}": (
        "forgetting_learning.score",
        "'rouge'",
        "loss_content",
    ),
    "figures: {method_comparison: {score: acc}}": ("method_comparison.score", "comparisons.margins", "loss_"),
    "figures: {r_heatmaps: {scores: [bleu]}}": (
        "r_heatmaps.scores[0]",
        "'bleu', which is no score",
        "acc_norm",
    ),
    "figures: {r_heatmaps: {scores: [acc]}}\nevals: {choice_items: 0}": (
        "r_heatmaps.scores",
        "'acc'",
        "loss_",
    ),
    "figures: {rounds: {score: exact_match}}": ("figures.rounds.score", "'exact_match'", "acc, acc_norm"),
    "figures: {capacity: {energy: 0.5}}": ("figures.capacity.energy", "0.5", "0.95, 0.99"),
    "figures: {capacity: {place: down}}": ("capacity.place", "takes probes.input_spectra.down", "as well"),
    "figures: {critical_sparsity: {level: 0.3}}": ("critical_sparsity.level", "0.3", "0.5"),
    "figures: {plasticity: {tau: 0.5}}": ("figures.plasticity.tau", "0.5", "0, 0.025, 0.1"),
    "figures: {overview: {k: 0.5}}": ("figures.overview.k", "probes.activation_overlap.k", "0.01, 0.1"),
    "figures: {overlap_by_layer: {control: bare}}": ("overlap_by_layer.control", "'bare'", "matched"),
    "figures: {overlap_by_layer: {control: matched, checkpoint: x}}": (
        "checkpoint",
        "'x'",
        "base where control",
    ),
    "figures: {drift_by_layer: {reference: previous}}\norders: {forward: [code]}": (
        "figures.drift_by_layer.reference",
        "takes second stages",
        "another value",
    ),
    "probes: {input_spectra: {energy: [0.9]}}": (
        "input_spectra.energy",
        "capacity.energy is 0.95 by default",
        "0.9",
    ),
    "probes: {plasticity_task: {tau: [0.2]}}": (
        "plasticity_task.tau",
        "tau is 0.1 by default",
        "0.2",
    ),
    "probes: {relearning: {documents: [20]}}": (
        "relearning.documents",
        "relearning.relearn is [10]",
        "among",
    ),
    "probes: {activation_overlap: {score: top_count, token_k: 0.5}}": (
        "activation_overlap.token_k",
        "0.5",
        "0.01",
    ),
    "probes: {gradient_overlap: {k: [4, 13]}}": (
        "gradient_overlap.k",
        "[4, 13]",
        "<= probes.gradients.documents",
    ),
    "probes: {activations: {tokens: 20000}}": (
        "activations.tokens",
        "20000",
        "<= splits.probe x tokens.max_length",
    ),
    "probes: {hubs: {k: [0.1, 1.0]}}": ("probes.hubs.k[1]", "1.0", "or 1 for a set of one"),
    "methods: {structured_sparsity: {partitions: 3}}": (
        "structured_sparsity.partitions",
        "3",
        "longest order (4)",
    ),
    "methods: {orthogonal: {fixed_rank: 8, max_rank: 4}}": (
        "orthogonal.fixed_rank",
        "8",
        "at most max_rank (4)",
    ),
    "methods: {orthogonal: {sweep: {fixed_rank: [2, 8]}, max_rank: 4}}": (
        "orthogonal.fixed_rank",
        "8",
        "max_rank",
    ),
    "methods: {orthogonal: {form: frozen, strength: 0.5}}": (
        "orthogonal.strength",
        "0.5",
        "0 | 1 where form",
    ),
    "claims: {h1b: {k: 0.3}}": (
        "claims.h1b.k",
        "0.3, which is no value of probes.activation_overlap.k",
        "0.1",
    ),
    "claims: {h1b: {controls: [bare]}}": ("claims.h1b.controls[0]", "'bare'", "matched"),
    "claims: {h8: {documents: 30}}": ("claims.h8.documents", "30", "10, 50"),
    "claims: {h3c: {place: down}}": ("claims.h3c.place", "takes probes.input_spectra.down", "as well"),
    "claims: {h4: {rounds: 9}}": ("claims.h4.rounds", "9", "<= longest order (4)"),
    "claims: {h2a: {control: rndom}}": ("claims.h2a.control", "no control", "did you mean random?"),
    "claims: {h2a: {score: acc}}": ("claims.h2a.score", "no score of comparisons.margins", "loss_content"),
    "claims: {h4: {score: rouge}}": ("claims.h4.score", "'rouge', which is no score", "loss_content"),
}


@pytest.mark.parametrize("overlay", WRONG, ids=list(WRONG))
def test_a_wrong_name_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


@pytest.mark.parametrize(
    "overlay",
    [
        "figures: {drift_by_layer: {domain: code, reference: previous}}",
        "figures: {overlap_by_layer: {control: matched}, overview: {models: [smollm2, nano_64], k: 0.1}}",
        "figures: {r_heatmaps: {scores: [acc, loss_content]}}\nevals: {choice_items: 0}",  # one is there
        "probes: {thresholds: {cross: []}}",  # the figure does without
        "probes: {activation_overlap: {k: [0.05]}}",  # H1b is NOT RUN by what is said later
        "probes: {relearning: {documents: [4], relearn: [4]}}",  # H8 as well
        "probes: {input_spectra: {energy: [0.9]}}\nfigures: {capacity: {energy: 0.9}}",
        "methods: {lora: false}\nprobed_methods: all\nprobes: {drift: {methods: []},"
        " plasticity_task: {methods: []}, relearning: {methods: []}}\ncomparisons: {reference: orthogonal}",
        "methods: {structured_sparsity: {partitions: 3, partition: shared}}",
        "methods: {orthogonal: {form: frozen, strength: 0}}",
        "claims: {h5: {predictor: overlap, k: 0.01}}",
        "claims: {h2b: {method: o_lora}, h1a: {models: [nano_64]}}",  # of parts that are not asked for
    ],
)
def test_what_is_there_or_is_passed_over_is_taken(folder, overlay):
    (folder / "overlay.yaml").write_text(overlay)
    load(["config.yaml", "overlay.yaml"])


def test_a_figure_is_held_to_a_method_that_it_names_and_not_to_its_own_choice(folder):
    without = (
        "methods: {lora: false}\ncomparisons: {reference: orthogonal}\n"
        "probes: {drift: {methods: []}, plasticity_task: {methods: []}, relearning: {methods: []}}\n"
    )
    Path("overlay.yaml").write_text(without + "figures: {rounds: {against: lora}}")
    line = refusals.refused("config.yaml", "overlay.yaml")
    assert line.startswith("overlay.yaml: figures.rounds.against: found 'lora', which is no method")


def test_all_that_is_wrong_is_found_at_once(folder):
    Path("overlay.yaml").write_text(
        "figures: {capacity: {energy: 0.5}, plasticity: {tau: 0.5}}\nclaims: {h8: {documents: 30}}\n"
        "methods: {orthogonal: {fixed_rank: 8, max_rank: 4}}\nprobes: {gradient_overlap: {k: [13]}}"
    )
    with pytest.raises(ConfigError) as error:
        load(["config.yaml", "overlay.yaml"])
    assert {".".join(one.path[:3]) for one in error.value.errors} == {
        "figures.capacity.energy",
        "figures.plasticity.tau",
        "claims.h8.documents",
        "methods.orthogonal.fixed_rank",
        "probes.gradient_overlap.k",
    }
