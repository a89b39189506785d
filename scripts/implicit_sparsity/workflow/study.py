"""A checked config as what rules ask of it: which checkpoints there are, what each reads, which tables.

Pure functions of the config and of the library's source: no paths of results, and nothing of Snakemake.
"""

import copy
import glob
import os

from . import measures, source, tables
from .config import defaults, variants

NEVER = "(?!)"  # a pattern that matches nothing


class Study:
    """``given``: the config as the files have it. ``config``: with variants laid out, and without what says
    nothing about how a model or method is made: which models are trained, which methods are probed, whether
    models come from a format warm-up (their weights say that)."""

    def __init__(self, given, methods, families, probed):
        self.given, self.families, self.probed_methods = given, families, probed
        self.config = copy.deepcopy(given) | {"methods": methods}
        del self.config["probed_methods"], self.config["controls"]
        self.format_warmup = self.config["training"].pop("format_warmup", False)
        self.models, self.domains = list(given["models"]), list(given["domains"])
        self.reference = given.get("reference") or ""
        self.compared = measures.domains_of((), self.domains, self.reference)
        self.learners = [name for name in self.models if self.config["models"][name].pop("trained", True)]
        trained_on = {name: entry.get("models", self.models) for name, entry in given["methods"].items()}
        self.trained_on = {variant: trained_on[origin["of"]] for variant, origin in families.items()}
        self.measures = measures.of(self.config["probes"])
        for name, measure in self.measures.items():  # every option in place, as the plan reads them, too
            named = {"methods": sorted(self._methods(name))} if measure.options.get("methods") else {}
            self.config["probes"][name] = measure.options | named
        self.left_out = tables.left_out(given)
        figures = {name: entry for name, entry in given["figures"].items() if name not in self.left_out}
        self.config["figures"] = tables.of_reference(figures, self.reference)
        self.config |= defaults.of_sections(self.config)
        self._probed = {
            (model, name): self._taken(model, name) for model in self.models for name in self.measures
        }
        self.tables = tables.made_tables(given)
        self.claimed_tables = tables.claimed_tables(given)

    def figure_tables(self, figure) -> list[str]:
        """Names of the tables that a figure reads."""
        return tables.figure_tables(self.given, figure)

    # checkpoints

    def stages(self, model, which="all", methods=None) -> list[str]:
        """Trained checkpoints of a model as method.order.seedN.stageN: of every stage, or the final ones."""
        return [
            f"{method}.{order}.seed{seed}.stage{stage}"
            for method in self.config["methods"]
            if model in self.learners and model in self.trained_on[method]
            if methods is None or method in methods
            for order, domains in self.config["orders"].items()
            for seed in self.config["seeds"]
            for stage in (range(1, len(domains) + 1) if which == "all" else [len(domains)])
        ]

    def checkpoints(self, model, which="all", methods=None) -> list[str]:
        """Base, and the trained checkpoints of a model unless ``which`` is "base" or it is not trained."""
        return ["base", *(self.stages(model, which, methods) if which != "base" else [])]

    def probed(self, model, measurement) -> list[str]:
        """Checkpoints of a model that a measurement takes."""
        return self._probed[model, measurement]

    def _taken(self, model, measurement):
        """Base is not among them where it is no choice of the measurement's class, nor alone where that has
        something to measure from a later stage on only."""
        measure = self.measures[measurement]
        base, *trained = self.checkpoints(model, measure.options["stages"], self._methods(measurement))
        trained = [name for name in trained if int(name.rpartition(".stage")[2]) >= measure.first_stage]
        return [base, *trained] if measure.of_base and (trained or measure.first_stage == 1) else trained

    def _methods(self, measurement) -> set:
        """Variants whose checkpoints a measurement takes: all that are probed, or of these what it names."""
        asked = self.measures[measurement].options.get("methods") or "all"
        at = ("probes", measurement, "methods")
        return self.probed_methods & variants.those_asked_for(asked, self.families, at)

    # stages

    def trained_domains(self, order, stage) -> list[str]:
        """Domains up to and with this stage: a longer order does not touch its earlier stages."""
        return self.config["orders"][order][: int(stage)]

    def recipe(self, model, method, order, stage, **more) -> dict:
        """What a stage is trained on, and how: its wildcards, and what the config says of them."""
        return more | {
            "model": model,
            "method": method,
            "order": order,
            "stage": stage,
            "base": self.config["models"][model],
            "domains": self.trained_domains(order, stage),
            "options": self.config["methods"][method],
            "training": self.config["training"],
        }

    def domains_read(self, method, order, stage) -> list[str]:
        """The new domain of a stage, and the old ones where the method reads them."""
        domains = self.trained_domains(order, stage)
        return domains if self._literal(method, "READS") == "all" else domains[-1:]

    def previous_adapter(self, pattern, method, stage, **others):
        """The adapter one stage earlier; [] at the first, and for a method that starts from the base."""
        before = int(stage) - 1 if self._literal(method, "STARTS") == "previous" else 0
        return pattern.format(method=method, stage=before, **others) if before else []

    def method_module(self, method) -> str:
        """The module that runs a method."""
        return source.method_module(method, self.config["methods"][method])

    def _literal(self, method, name):
        return source.class_literal(source.module_name("methods", self.method_module(method)), name)

    # corpora and models

    def source_options(self, domain, name) -> dict:
        """What the config says about one source, its loader spelled out, and the seed of the draw."""
        entry = self.config["domains"][domain]["sources"][name]
        loader = entry.get("loader", name)
        seed = self.config["splits"]["seed"]
        return {"seed": seed, **defaults.of_loader(entry, loader), "loader": loader}

    def loader(self, domain, name) -> str:
        """The module of corpora/sources that reads a source."""
        return self.source_options(domain, name)["loader"]

    def source_files(self, domain, name):
        """A local file is an input like any other; packages and hub data sets are not files of ours."""
        path = self.config["domains"][domain]["sources"][name].get("path")
        return [] if path is None else os.path.normpath(path)  # ./a//b, of which Snakemake warns

    def hub_models(self) -> str:
        """A pattern for names of models that a hub has; one that nothing matches where there are none."""
        return "|".join(name for name, m in self.config["models"].items() if m["source"] == "hub") or NEVER

    def hub_sources(self) -> str:
        """The same for sources; a name may stand for two things in two domains, so its folder counts."""
        names = [
            f"(?<=/{domain}/sources/){name}"
            for domain, content in self.config["domains"].items()
            for name in content["sources"]
            if self.loader(domain, name) == "hub"
        ]
        return "|".join(names) or NEVER

    def from_scratch(self, model) -> bool:
        """Whether a model is trained here: only such a one reads documents."""
        return self.config["models"][model]["source"] == "scratch"

    def weights_on_disk(self, model) -> list[str]:
        """Files of a model given by path, so that a change to them is seen."""
        model = self.config["models"][model]
        patterns = ("config.json", "tokenizer*.json", "special_tokens_map.json", "added_tokens.json")
        patterns += ("*.safetensors", "*.safetensors.index.json")
        folders = [glob.escape(os.path.normpath(model["path"]))] if model["source"] == "path" else []
        files = [file for folder in folders for p in patterns for file in glob.glob(f"{folder}/{p}")]
        return sorted(file for file in files if os.path.exists(file))  # preparing says what a dead link was

    # measurements and probes

    def of_scope(self, scope) -> str:
        """A pattern for names of measurements that have a store of each "domain", or of each "checkpoint"."""
        return "|".join(name for name, measure in self.measures.items() if measure.scope == scope) or NEVER

    def domains_measured(self, measurement, domain=None) -> list[str]:
        """The domain that is measured; all where one store is of all, or where the measurement reads all.

        The reference set is among all only where the measurement's NEEDS has it.
        """
        needs = self.measures[measurement].needs
        alone = domain and "tokens" not in needs
        return [domain] if alone else measures.domains_of(needs, self.domains, self.reference)

    def reference_read(self, measurement) -> str:
        """The reference set, where the measurement reads it: a change of it says nothing about others."""
        return self.reference if "reference" in self.measures[measurement].needs else ""

    def orders_read(self, measurement) -> dict:
        """The orders, where the measurement reads them: a change of them says nothing about others."""
        return self.config["orders"] if "orders" in self.measures[measurement].needs else {}

    def needs(self, probe) -> tuple[str, ...]:
        """What a probe reads: names of measurements, and "controls", "models" or "adapters"."""
        return source.class_literal(source.module_name("probes", probe), "NEEDS")

    def asked(self, probes) -> dict:
        """model -> kind of job -> checkpoints (or controls) at which ``probes`` or the training need it."""
        needs = {need for name in probes for need in self.needs(name)}
        controls = self.config["probes"]["activations"]["controls"] if "controls" in needs else []
        return {
            model: {
                "trained": self.checkpoints(model)[1:],
                "measured": {
                    name: self.probed(model, name) if name in needs else ["base"] * (f"{name}_base" in needs)
                    for name in self.measures
                },
                "controls": controls,
            }
            for model in self.models
        }
