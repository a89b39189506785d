"""Keys of the config that say what is read: domains and their sources, splits, tokens."""

from typing import Annotated, Literal

from pydantic import Field

from .keys import Count, EachOnce, Entry, Name, Natural, Off, Revision, Section, Share, Text, allowed, key

COLUMN = "a column, or a text with {columns}; in quotes where YAML reads something else (on, off, yes, no, 1)"
TEXTS = "a text; in quotes where YAML reads something else (on, off, yes, no, 1)"
Column = Annotated[Text, Field(pattern=r"^[^{]+$|[{][^{}]+[}]"), allowed(COLUMN)]


class Fields(Section):
    """Columns of a table, by what they are for."""

    prompt: Column = key("Column of the prompt; none where left out.", default=None)
    completion: Column = key("Column of the completion; the answer where left out.", default=None)
    messages: Column = key("Column of a conversation, in place of prompt and completion.", default=None)
    choices: Annotated[Text | Annotated[list[Column], Field(min_length=2)], allowed(COLUMN)] = key(
        "Column of the choices, or one for each.", default=None
    )
    answer: Column = key(
        "Column of the answer: a text, or a choice by itself, its letter or index.", default=None
    )
    group: Column = key("Column of what must not straddle two splits; each row where left out.", default=None)
    id: Column = key("Column of the name of a row; its number where left out.", default=None)


class Source(Entry):
    """A data set of a domain; further keys are options of its loader."""

    loader: str = key(
        "Module of corpora/sources; the entry's own name where left out.",
        "jsonl, parquet or hub for data of your own.",
        default=None,
    )
    limit: Count = key(
        "Most documents to read, drawn by seed; all where left out.",
        "more than the splits take: duplicates, overlong texts and contaminated documents go.",
        default=None,
    )
    revision: Revision = key("Commit of a hub data set.", default=None)
    fields: Fields = key("Columns of data of your own, by what they are for.", default=None)
    layout: Literal["lines", "mapping", "messages"] = key(
        "How rows of data of your own are laid out: one a line, one object keyed by id, conversations.",
        default=None,
    )
    choices: Annotated[list[Annotated[Text, allowed(TEXTS)]], *EachOnce] = key(
        "Choices that all rows share.", default=None, min_length=2, allowed="two texts or more"
    )
    on_bad: Literal["refuse", "drop"] = key("What happens to a bad row.", default=None)


class Domain(Section):
    """A domain of documents."""

    sources: dict[Name, Source] = key(
        "Data sets of the domain, by a name of your own.",
        'two or more, or "domain" only means "data set".',
        min_length=1,
    )


class Splits(Section):
    """Documents per domain in each split, and how splits are made."""

    train: Count = key(
        "Documents to train on.", "about training.steps * batch_size; disk alone grows with it."
    )
    probe: Count = key(
        "Documents in each of the two halves that are measured.",
        "more for narrower intervals and larger token budgets; no probe takes more documents than this.",
    )
    select: Count = key("Documents that choose masks and subspaces.", "more for a steadier choice.")
    eval: Count = key("Documents to score.", "more for narrower intervals; at least what evals takes.")
    seed: Natural = key("Seed of the draw of documents and of the splits.", "another one is a replication.")
    per_group: Off | Count = key(
        "Most documents of one group (a template, a module, an article); false: all.",
        "where few groups have most documents: as few as leave every split its size.",
        allowed="integer >= 1, or false",
    )
    near_duplicate: Share = key(
        "MinHash similarity from which two documents count as one, also of two domains.",
        "higher drops fewer; 1: exact copies only.",
    )
    ngram: Count = key(
        "Length in words of a shared n-gram that marks contamination.", "13, as in published practice."
    )
    distractors: Count = key(
        "Wrong choices drawn for documents without choices.",
        "more lower the chance level; each is one more sequence to score.",
    )
    distractor_chars: Count = key("Longest completion that serves as a wrong choice.")
    min_chars: Natural = key("Shortest text that is kept.", "at most max_chars.")
    max_chars: Count = key("Longest text that is kept.")


class Template(Section):
    """Text around prompt and completion."""

    before: str = key("Text before the prompt.")
    between: str = key("Text between prompt and completion.")
    after: str = key("Text after the completion.")


class Tokens(Section):
    """How documents become tokens."""

    template: Template = key(
        "Text around prompt and completion, the same for all domains.",
        "the model's own chat template; empty texts for a base model.",
    )
    max_length: Annotated[int, Field(ge=2)] = key(
        "Most tokens of a document.", "the shortest that cuts few: time and memory grow with it."
    )
    min_completion: Count = key("Fewest completion tokens of a document that is kept.", "below max_length.")
    on_long: Literal["truncate", "drop"] = key(
        "What happens to a document over max_length.",
        "drop where a cut document is no document (code, proofs), if enough are left.",
    )
    cut_at_most: Share = key(
        "Largest share of a split's documents that may be cut: above it tokenization is refused.",
        "0.25; a document that is cut has lost its prompt's beginning or its answer. 1 asks for no refusal.",
    )
    shards: Count = key("Files per split.", "1; more for very large corpora.")
