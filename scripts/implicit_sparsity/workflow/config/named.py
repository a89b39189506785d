"""What options name elsewhere in the study is there: models, scores, checkpoints, values that are measured.

An option says so itself (``of``, ``asks``, bounds that are places: ``option_values.Option``). A figure that
names what is not there finds nothing to draw, in the last jobs, so that its defaults are checked, too. A
claim is NOT RUN where a study lacks what it is about, which is no fault: refused is what no file has, and
what is not measured where the claim says it no earlier than the files say what is.
"""

from implicit_sparsity.option_relations import listed
from implicit_sparsity.option_values import BOUNDS

from .. import source
from ..study import Study
from . import places
from .error import ConfigError, Errors, show
from .layers import rank_of
from .options import check_relations, probe_module, with_defaults

WHAT = {
    "models": "model",
    "methods": "method",
    "domains": "domain",
    "controls": "control",
    "scores": "score",
    "checkpoints": "checkpoint that is measured",
    "compared scores": "score of comparisons.margins",
    "untrained domains": "untrained domain",
}
SWITCHED_OFF = ("models", "methods")  # a claim of one that is switched off is NOT RUN
MOST = 12  # names that are listed


def check(study: Study, mentioned: dict, layers: list) -> None:
    """ConfigError where options of methods, probes, figures or claims name what is not there.

    mentioned: {place of a mapping: all names that any file gives there} (``names.given``).
    """
    errors, named = Errors(), _Named(study, mentioned, layers)
    for variant, options in study.config["methods"].items():
        module = source.module_name("methods", study.method_module(variant))
        path, entry = ("methods", study.families[variant]["of"]), {**options}
        entry.pop("uses", None)
        with errors:
            check_relations(path, with_defaults(module, entry), module)
        named.check(errors, path, entry, module)
    for room in ("probes", "figures", "claims"):
        for name, entry in study.given[room].items():
            module = probe_module(name) if room == "probes" else source.module_name(room, name)
            named.check(errors, (room, name), entry, module)
    errors.refuse()


class _Named:
    def __init__(self, study, mentioned, layers):
        self.study, self.mentioned, self.layers = study, mentioned, layers

    def check(self, errors, path, entry, module):
        """Every option of an entry, left out or not, but for those that say nothing beside the others."""
        options, fields = with_defaults(module, entry), source.option_fields(module)
        for key, option in fields.items():
            if option.when and options[option.when[0]] != option.when[1]:
                continue
            for one in (self._among, self._asked, self._bounded):
                with errors:
                    one((*path, key), option, options[key], key in entry)

    def _among(self, path, option, value, written):
        """The value is one of those at ``option.of``; of several names one at least is, the others may be
        switched off."""
        place, values = option.of, [v for v in listed(value) if v is not None and v not in option.besides]
        there = places.at(self.study, place, path) if place and values else None
        if there is None or (path[0], place) == ("probes", "methods"):  # which variants.py checks
            return
        there, known = listed(there), self._known(place)
        missing = [one for one in values if not _holds(there, one)]
        unknown = [one for one in missing if known is not None and not _holds(known, one)]
        if not unknown and not self._held_to(path, place, written):
            return
        if unknown or known is None or len(missing) == len(values):
            for one in (unknown or missing) if there or written else ():
                at = (*path, values.index(one)) if isinstance(value, list) else path
                self._refuse(at, one, place, there or sorted(known or ()), written)

    def _known(self, place) -> set | None:
        """Names that are none of this study and yet no slip of the hand; None: there are none such."""
        if place in ("scores", "compared scores"):
            return set(places.SCORES)
        modules = source.available("methods") if place == "methods" else ()
        return {*self.mentioned.get((place,), ()), *modules} if place in ("models", "methods") else None

    def _held_to(self, path, place, written) -> bool:
        """Whether what the option names has to be there."""
        if path[0] != "claims":
            # a figure says that a method of its own choice is not trained
            return written or place != "methods"
        late = written and rank_of(path, self.layers) >= rank_of(places.path_of(place), self.layers)
        return late and place not in SWITCHED_OFF

    def _asked(self, path, option, value, written):
        """What a value takes is on; a whole probe that is left out is refused by needs.py."""
        place = (option.asks or {}).get(value) if isinstance(value, str) else None
        there = places.at(self.study, place, path) if place else True
        if there or (there is None and place.count(".") > 1) or not self._held_to(path, place, written):
            return
        found = f"{show(value)}, which takes {place}"
        raise ConfigError(path, found, "another value, or that as well", because=[places.path_of(place)])

    def _bounded(self, path, option, value, written):
        """Bounds that are places of the config."""
        for name, (sign, test) in BOUNDS.items():
            place = getattr(option, name)
            limit = places.at(self.study, place, path) if isinstance(place, str) else None
            if limit is None or not self._held_to(path, place, written):
                continue
            if not all(test(number, limit) for number in listed(value)):
                words = f"integer {sign} {place} ({limit})"
                raise ConfigError(path, show(value), words, because=[places.path_of(place)])

    def _refuse(self, path, value, place, there, written):
        what = WHAT.get(place, f"value of {place}")
        more = f" and {len(there) - MOST} more" if len(there) > MOST else ""
        words = ", ".join(map(str, there[:MOST])) + more or f"none, there is no {what}"
        found = f"{show(value)}{'' if written else ' by default'}, which is no {what}"
        near = source.nearest(value, there) if isinstance(value, str) else ""
        because = [(place, value) if place in self.study.given else places.path_of(place)]
        raise ConfigError(path, found, words + near, because=because)


def _holds(names, one) -> bool:
    """Whether a name or number is among others; numbers up to rounding."""
    if isinstance(one, str | bool):
        return one in names
    return any(abs(one - other) < 1e-9 for other in names if not isinstance(other, str))
