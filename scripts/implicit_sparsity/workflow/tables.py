"""Names of the tables that a study makes, and of those that figures and claims read; the figures' style."""

from . import source
from .config.options import MEASUREMENTS
from .constants import SCRIPTS

# Tables that are made of every study, and of every trained one.
CORPORA = ("documents",)
SCORES = ("scores", "r_matrices", "metrics", "learning_curves", "stages", "comparisons", "fronts")


def made_tables(config) -> list[str]:
    """Names of the tables that this study makes."""
    learns = any(model.get("trained", True) for model in config["models"].values())
    trained = SCORES if config["methods"] and learns else ["scores"]
    return [*CORPORA, *trained, *(name for name in config["probes"] if name not in MEASUREMENTS)]


def figure_tables(config, figure) -> list[str]:
    """Names of the tables that a figure reads, by its source: what it needs, and what else is made."""
    place, made = source.module_name("figures", figure), made_tables(config)
    optional = source.class_literal(place, "OPTIONAL", default=())
    return [*source.class_literal(place, "TABLES", default=()), *(n for n in optional if n in made)]


def left_out(config) -> list[str]:
    """Figures that this study cannot have: of a domain after another, where no order has two."""
    longest = max(map(len, config["orders"].values()))
    places = {name: source.module_name("figures", name) for name in config["figures"]}
    return [name for name, place in places.items() if source.class_literal(place, "FIRST_STAGE", 1) > longest]


def of_reference(figures, reference) -> dict:
    """The figures of a config; those of one domain are of the reference set where they name none."""
    if not reference:
        return figures
    of_one = {
        name for name in figures if "domain" in source.option_fields(source.module_name("figures", name))
    }
    return {name: {"domain": reference} | e if name in of_one else e for name, e in figures.items()}


def claimed_tables(config) -> list[str]:
    """Names of the tables that claims read, of those that are made."""
    places = [source.module_name("claims", name) for name in config["claims"]]
    kinds = ("TABLES", "OPTIONAL")
    asked = {name for place in places for kind in kinds for name in source.class_literal(place, kind)}
    return [name for name in made_tables(config) if name in asked]


def figure_style() -> list[str]:
    """Lines of the figures' style but for comments: no code, and yet what figures depend on."""
    text = (SCRIPTS / source.PACKAGE / "figures/thesis.mplstyle").read_text("utf-8")
    return [rule for line in text.splitlines() if (rule := line.partition("#")[0].strip())]
