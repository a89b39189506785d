"""Every table that a figure reads, planted: small studies of one and of several models."""

import shutil

import numpy as np
import planted_fronts
import planted_learning
import planted_recovery
from collect_scores import collect_scores
from collect_stages import collect_stages
from continual_metrics import continual_metrics
from planted import (
    DOMAINS,
    noisy_gradients,
    noisy_losses,
    noisy_scores,
    write_drift,
    write_evals,
    write_gradients,
    write_routing,
    write_scores,
    write_stages,
    write_thresholds,
)
from probe_table import probe_table

CASES = {
    "one of each": {
        "models": ["smollm2"],
        "methods": ["lora", "activation_mask", "orthogonal"],
        "seeds": [0],
    },
    "several": {
        "models": ["nano_dense", "a_model_with_a_long_name_of_its_own"],
        "methods": ["lora", "activation_mask", "activation_mask_random", "replay", "my_own_method"],
        "seeds": [0, 1, 2],
    },
}


def make_tables(folder, models, methods, seeds):
    rng = np.random.default_rng(0)
    stores, evals, stages = [], [], []
    for i, model in enumerate(models):
        for domain, scores in noisy_scores(rng, 6 + 18 * i, 200 + 100 * i).items():
            path = folder / "stores" / f"{model}.{domain}.zarr"
            other = scores * np.exp(0.3 * rng.normal(size=scores.shape))
            given = [("book", scores)] * 3 + [("forum", other)] * 3
            stores.append(str(write_scores(path, given, domain, model=model)))
        evals += write_evals(folder / "evals", rng, methods, seeds, model)
        stages += write_stages(folder / "adapters", rng, methods, seeds, model, steps=20)
    out = folder / "tables"
    for probe, options in (
        ("activation_overlap", {"draws": 8}),
        ("activation_sparsity", {}),
        ("hubs", {"draws": 8}),
    ):
        probe_table(str(out / f"{probe}.csv"), probe=probe, options=options, activations=stores)
    mixtures = [
        str(
            write_routing(
                folder / "stores" / f"moe.{domain}.zarr", rng.multinomial(4000, p, (2, 5)), domain, 4
            )
        )
        for domain, p in zip(DOMAINS, rng.dirichlet(np.ones(16), 4))
    ]
    probe_table(str(out / "routing_overlap.csv"), probe="routing_overlap", activations=[*stores, *mixtures])
    sketches = []
    for i, model in enumerate(models):
        for domain, values in noisy_gradients(rng, 0.3, modules=6 + 18 * i).items():
            path = folder / "stores" / f"{model}.{domain}.gradients.zarr"
            given = ["book"] * 4 + ["forum"] * 4
            sketches.append(str(write_gradients(path, values, domain, model=model, sources=given)))
    quick = {"resamples": 100, "permutations": 20}
    probe_table(
        str(out / "gradient_overlap.csv"), probe="gradient_overlap", options=quick, gradients=sketches
    )
    losses = [
        str(
            write_thresholds(
                folder / "stores" / f"{model}.{domain}.losses.zarr",
                noisy_losses(rng, domain, 0.3 + 0.1 * i, numerical=1e-3),
                domain,
                model,
            )
        )
        for model in models
        for i, domain in enumerate(DOMAINS)
    ]
    probe_table(str(out / "critical_sparsity.csv"), probe="critical_sparsity", thresholds=losses)
    moved = [
        str(
            write_drift(
                folder / "drift" / f"{model}.{method}.{seed}.zarr",
                lambda reference, layer, m=m: 0.05 * (1 + m) * (1 + layer) / (1 + reference),
                documents=5,
                model=model,
                checkpoint=f"{method}.main.seed{seed}.stage{len(DOMAINS)}",
                layers=6 + 18 * i,
            )
        )
        for i, model in enumerate(models)
        for m, method in enumerate(methods)
        for seed in seeds[:2]
    ]
    probe_table(str(out / "representation_drift.csv"), probe="representation_drift", drift=moved)
    collect_scores(str(out / "scores.csv"), evals)
    arranged = str(out / "r_matrices.csv"), str(out / "metrics.csv")
    continual_metrics(*arranged, str(out / "scores.csv"), {"main": list(DOMAINS)})
    collect_stages(str(out / "learning_curves.csv"), str(out / "stages.csv"), stages)
    planted_learning.write_tables(out, folder / "stores", rng, models, methods, seeds)
    planted_recovery.write_table(
        out / "recovery.csv", folder / "stores", np.random.default_rng(0), models, methods, seeds, DOMAINS
    )
    planted_fronts.write_tables(out, folder / "stores", models, methods, seeds)
    shutil.rmtree(folder / "stores")
    return out
