"""Keys of domains, splits and tokens: their limits, and what a source may say besides."""

import pytest
import refusals
from pydantic import ValidationError

from implicit_sparsity.workflow.config.corpus_keys import Domain, Source
from implicit_sparsity.workflow.config.load import load

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "domains: {law: {}}": ("domains.law.sources", "nothing", "mapping"),
    "splits: {near_duplicate: 80}": ("splits.near_duplicate", "80", "<= 1"),
    "splits: {per_group: -1}": ("splits.per_group", "-1", "integer >= 1, or false"),
    "splits: {per_group: 0}": ("splits.per_group", "0", "integer >= 1, or false"),
    "tokens: {cut_at_most: 25}": ("tokens.cut_at_most", "25", "<= 1"),
    "tokens: {template: chatml}": ("tokens.template", "'chatml'", "mapping"),
    "tokens: {template: {middle: x}}": ("tokens.template.middle", "unknown key", "after, before, between"),
    "tokens: {on_long: split}": ("tokens.on_long", "'split'", "truncate | drop"),
    "domains: {code: {sources: {human_eval: {limit: 0}}}}": ("human_eval.limit", "0", "integer >= 1"),
    "domains: {code: {sources: {human_eval: 3}}}": ("sources.human_eval", "3", "mapping"),
    "domains: {code: {sources: {Mine: {loader: jsonl}}}}": ("sources.Mine", "'Mine'", "lower-case letters"),
    "domains: {code: {sources: {human_eval: {revision: main}}}}": (
        "human_eval.revision",
        "'main'",
        "40 hexadecimal digits",
    ),
    "splits: {eval: 0}": ("splits.eval", "0", "integer >= 1"),
    "splits: {near_duplicate: 0}": ("splits.near_duplicate", "0", "> 0"),
    "splits: {seed: -1}": ("splits.seed", "-1", "integer >= 0"),
    "splits: {probes: 8}": ("splits.probes", "unknown key", "did you mean probe?"),
    "tokens: {max_length: 1}": ("tokens.max_length", "1", "integer >= 2"),
    "tokens: {shards: 1.5}": ("tokens.shards", "1.5", "integer >= 1"),
    "tokens: {template: {before: 3}}": ("tokens.template.before", "3", "text"),
}


OWN = "domains: {law: {sources: {own: {path: config.yaml, licence: x, %s}}}}"
COLUMNS = {  # options of such a source -> key, found, allowed
    "fields: {prompt: true, completion: false}": ("own.fields.prompt", "true", "in quotes"),
    "fields: {prompt: q, completion: null}": ("own.fields.completion", "nothing", "in quotes"),
    "fields: {id: 1.5, completion: a}": ("own.fields.id", "1.5", "in quotes"),
    "fields: {group: [a, b], completion: a}": ("own.fields.group", "['a', 'b']", "a column"),
    "fields: {choices: [a, false], answer: a}": ("own.fields.choices", "['a', False]", "in quotes"),
    "fields: {promt: q, completion: a}": ("own.fields.promt", "unknown key", "did you mean prompt?"),
    "fields: {prompt: '{q', completion: a}": ("own.fields.prompt", "'{q'", "{columns}"),
    "fields: {prompt: q}": ("own.fields", "a mapping (prompt)", "fields with completion or answer"),
    "on_bad: drop": (
        "own.fields",
        "an empty mapping",
        "fields with completion or answer; or layout: messages",
    ),
    "layout: messages, fields: {prompt: q}": (
        "own.fields.prompt",
        "'q'",
        "nothing: it comes from the messages",
    ),
    "fields: {messages: m, completion: q}": ("own.fields.completion", "'q'", "nothing: it comes from"),
    "fields: {answer: a, choices: c}, choices: [x, y]": (
        "own.choices",
        "['x', 'y']",
        "nothing: fields.choices",
    ),
    "layout: mapping, fields: {completion: a}, loader: parquet": (
        "own.layout",
        "'mapping'",
        "lines | messages",
    ),
    "choices: [true, false]": ("own.choices[0]", "true", "in quotes"),
    "choices: [one]": ("own.choices", "['one']", "two texts or more"),
    "layout: table": ("own.layout", "'table'", "lines | mapping | messages"),
    "on_bad: false": ("own.on_bad", "false", "refuse | drop"),
}


@pytest.mark.parametrize("options", COLUMNS)
def test_a_column_is_refused_before_any_row_is_read(folder, options):
    refusals.check(OWN % (options if "loader" in options else f"loader: jsonl, {options}"), COLUMNS[options])


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


def test_a_source_takes_options_of_its_loader_and_a_domain_nothing_of_its_own():
    assert Source.model_validate({"limit": 5, "path": "x"}).model_extra == {"path": "x"}
    domain = Domain.model_validate({"sources": {"hpo": {}}})
    assert domain.sources["hpo"].loader is None and domain.sources["hpo"].limit is None
    for wrong in ({"sources": {}}, {"sources": {"hpo": {}}, "limit": 5}):
        with pytest.raises(ValidationError):
            Domain.model_validate(wrong)


@pytest.mark.parametrize("more", ["", ", fields: {group: g}", ", fields: {messages: conversations}"])
def test_conversations_need_no_fields(folder, more):
    """The loader finds their column by its usual names."""
    (folder / "d.jsonl").touch()
    own = f"{{loader: jsonl, path: d.jsonl, licence: MIT, layout: messages{more}}}"
    (folder / "overlay.yaml").write_text(f"domains: {{code: {{sources: {{own: {own}}}}}}}")
    study = load(["config.yaml", "overlay.yaml"])
    assert study.config["domains"]["code"]["sources"]["own"]["layout"] == "messages"
