"""Controls of the activation pass: what they leave out is counted, and domains differ in nothing else."""

from types import SimpleNamespace

import networks
import numpy as np
import pytest
import xarray
from measure_control import measure_control

from implicit_sparsity import errors
from implicit_sparsity.corpora.encoding import Encoder, Options
from implicit_sparsity.corpora.tokens import CONTENT, FIRST, PROMPT, Document, Tokens
from implicit_sparsity.passes import controls

OPTIONS = {
    "tokens": 90,
    "skip_first": 1,
    "top_k": [0.1],
    "thresholds": [0.1],
    "batch_tokens": 128,
    "groups": 8,
}


def document(prompt, completion, template=((90, 91), (92,), (93,)), end=True):
    before, between, after = map(list, template)
    ids = [*before, *prompt, *between, *completion, *(after if end else [])]
    mask = np.arange(len(ids)) < len(before) + len(prompt) + len(between)
    return Document(np.array(ids, np.uint32), mask, {"stop": len(after) * end})


def test_the_template_is_taken_off_and_nothing_else():
    template = (90, 91), (92,), (93,)
    for end in (True, False):  # a document that was cut has no end of the template
        plain = controls.without_template(document([1, 2, 92], [3, 93, 4], end=end), template)
        assert plain.ids.tolist() == [1, 2, 92, 3, 93, 4]
        assert plain.parts.tolist() == [PROMPT] * 3 + [FIRST, CONTENT, CONTENT]
    begun = controls.without_template(document([1, 2], [3]), template, bos=(90,))
    assert begun.ids.tolist() == [90, 1, 2, 3] and begun.parts.tolist() == [PROMPT] * 3 + [FIRST]
    with pytest.raises(errors.InputError, match="template"):
        controls.without_template(document([1], [2], ((5,), (92,), (93,))), template)


def test_matched_tokens_are_equally_many_of_each_id():
    rng = np.random.default_rng(0)
    taken = {}
    for number, key in enumerate([("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")]):
        ids = [rng.integers(number // 2, 8, 30) for _ in range(4)]
        taken[key] = (ids, [rng.random(30) > 0.3 for _ in ids], {"first": 2}, ids)
    result = controls.matched(taken)
    counts = []
    for key, (ids, keeps, excluded, _) in result.items():
        before = np.concatenate([i[k] for i, k in zip(*taken[key][:2], strict=True)])
        after = np.concatenate([i[k] for i, k in zip(ids, keeps, strict=True)])
        counts.append(np.bincount(after, minlength=8))
        assert excluded == {"first": 2, "control": len(before) - len(after)}
        firsts = [token for i, token in enumerate(before) if (before[:i] == token).sum() < counts[-1][token]]
        assert firsts == after.tolist(), "the first occurrences, in their order"
    whole = [
        np.bincount(np.concatenate([i[k] for i, k in zip(x, y, strict=True)]), minlength=8)
        for x, y, *_ in taken.values()
    ]
    assert all((c == np.min(whole, axis=0)).all() for c in counts) and counts[0][0] == 0 < counts[0][5]


def test_domains_without_a_common_token_are_refused():
    one = ([np.array([1, 2])], [np.array([True, True])], {}, [None])
    other = ([np.array([3, 4])], [np.array([True, True])], {}, [None])
    with pytest.raises(errors.InputError, match="no token occurs in both halves of every domain"):
        controls.matched({("x", "a"): one, ("y", "a"): other})
    with pytest.raises(errors.InputError, match="bare, matched"):
        controls.budgets("shuffled", {}, None, (), OPTIONS)


@pytest.mark.parametrize("kind", ["dense", "mixture"])
@pytest.mark.parametrize("control", controls.NAMES)
def test_stores_of_a_control(nano, tmp_path, kind, control):
    """One budget in both halves of all domains, at most the pass's own; what is left out is counted."""
    model, tokens = nano(kind)
    paths = [str(tmp_path / f"{domain}.{control}.zarr") for domain in networks.WORDS]
    folders = [str(tokens[domain]) for domain in networks.WORDS]
    given = (str(model), folders, {}, list(networks.WORDS), control, OPTIONS)
    measure_control(paths, *given, name="nano")
    stores = [xarray.open_zarr(path) for path in paths]
    budget = {int(n) for store in stores for n in store["tokens"].values}
    assert len(budget) == 1 and 0 < budget.pop() <= 90
    for store, domain in zip(stores, networks.WORDS, strict=True):
        assert (store.attrs["control"], store.attrs["domain"], store.attrs["checkpoint"]) == (
            control,
            domain,
            "base",
        )
        assert (store["excluded_control"].values > 0).all()
        np.testing.assert_array_equal(store["group_tokens"].sum("group"), store["tokens"])
    again = [str(tmp_path / "again" / f"{domain}.zarr") for domain in networks.WORDS]
    measure_control(again, *given, name="nano")
    np.testing.assert_array_equal(xarray.open_zarr(again[0])["sum_abs"], stores[0]["sum_abs"])


def test_bare_documents_are_those_of_the_pass(nano):
    model, tokens = nano("dense")
    shards = {domain: Tokens(folder) for domain, folder in tokens.items()}
    index = next(iter(shards.values())).index
    encoder = Encoder(model / "tokenizer.json", Options(index["template"], 64, 2))
    template = encoder.before, encoder.between, encoder.after
    halves = {(d, h): shards[d].split(f"probe_{h}") for d in shards for h in "ab"}
    result = controls.budgets("bare", halves, template, index["special_ids"], OPTIONS)
    specials = set(index["special_ids"])
    for key, (ids, _, excluded, _) in result.items():
        assert not specials & {int(token) for tokens in ids for token in tokens}
        for number, tokens_ in enumerate(ids[:-1]):  # the last one may be cut at the budget
            text = SimpleNamespace(ids=halves[key][number].ids)
            assert len(tokens_) == len(text.ids) - len(template[0]) - len(template[1]) - len(template[2])
        assert excluded["control"] >= len(ids) * (len(template[0]) + len(template[1]))
