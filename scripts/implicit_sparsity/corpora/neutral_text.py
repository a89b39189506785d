"""Text of no domain: questions and answers about things in a house, made by a small grammar from a seed.

For a stage that is to teach a format and nothing else (updates/format_warmup.py). No fact of the world,
no number, no code, no illness and no greeting is in it, and none of it is anybody's text. Answers differ
in length and form (a phrase, a sentence, several, a list of lines) and end with or without a full stop:
what they have in common is that they end.
"""

import itertools

import numpy as np

from implicit_sparsity.randomness import derive_seed

WORDS = {
    "thing": "cup lamp basket chair blanket hat kettle coat box ladder candle pillow bucket broom mirror "
    "curtain plate towel jug stool rug vase bench tray",
    "kind": "blue small red wooden round heavy grey new bare clean green tall plain soft",
    "place": "garden kitchen hallway yard porch cellar pantry bedroom barn shed",
    "where": "in near behind beside",
    "by": "near behind beside",
    "name": "Anna Ben Clara David Emma Frank Grace Henry Ida Jonas Laura Martin Nina Oscar Paula Simon",
    "did": "cleaned moved carried found borrowed painted washed lifted returned covered",
    "time": "morning afternoon evening",
}
CHOICES = {what: words.split() for what, words in WORDS.items()}
# (prompt, forms of the answer). Each field draws its own word: {thing1} another than {thing2}, mostly.
# `/` parts sentences or items, of which the last ones may be left out.
FORMS = (
    (
        "Where is the {kind1} {thing1}?",
        ("The {kind1} {thing1} is {where1} the {place1}", "{where1} the {place1}"),
    ),
    (
        "Name something in the {place1}.",
        ("a {kind1} {thing1}", "the {kind1} {thing1} that {name1} {did1}"),
    ),
    (
        "What did {name1} do in the {time1}?",
        (
            "{name1} {did1} the {kind1} {thing1}",
            "{name1} {did1} the {thing1}, and then {did2} the {kind1} {thing2} {by1} the {place1}",
        ),
    ),
    (
        "Describe the {place1} in a few sentences.",
        (
            "There is a {kind1} {thing1} {by1} the {thing2}./ Behind it stands a {kind2} {thing3}."
            "/ The {thing4} is {kind3}./ {name1} {did1} it in the {time1}",
        ),
    ),
    (
        "Write down what {name1} took to the {place1}.",
        ("the {kind1} {thing1}/\na {thing2}/\na {kind2} {thing3}/\nthe {thing4}",),
    ),
    (
        "Tell {name1} what to do with the {thing1}.",
        ("Please put the {thing1} {where1} the {place1}", "Leave it {where1} the {place1}, {name1}"),
    ),
    (
        "Is the {thing1} {where1} the {place1}?",
        ("Yes", "No, {name1} {did1} it in the {time1}", "No/, it is {by1} the {kind1} {thing2}"),
    ),
    (
        "Finish the sentence: {name1} opened the {place1} door and",
        ("{did1} the {kind1} {thing1}", "saw a {kind1} {thing1} {by1} the {thing2}"),
    ),
)
FULL_STOP = 0.6  # share of answers that end with one


def documents(seed: int):
    """Records {prompt, completion}, no two alike, as many as are taken (several thousand can be)."""
    random, seen = np.random.default_rng(derive_seed(seed, "neutral_text")), set()
    names = [(what, number) for what in CHOICES for number in range(1, 5)]
    for prompt, answers in itertools.cycle(FORMS):
        drawn = random.random(len(names) + 3).tolist()  # at once: a call of numpy takes longer than all else
        fields = {f"{what}{n}": _pick(CHOICES[what], x) for (what, n), x in zip(names, drawn, strict=False)}
        parts = _pick(answers, drawn[-3]).split("/")
        answer = "".join(parts[: 1 + int(drawn[-2] * len(parts))]).format(**fields).rstrip(".")
        record = prompt.format(**fields), answer + "." * (drawn[-1] < FULL_STOP)
        if record not in seen:
            seen.add(record)
            yield dict(zip(("prompt", "completion"), record, strict=True))


def _pick(choices, x: float):
    """One of ``choices``, for x drawn evenly from [0, 1)."""
    return choices[int(x * len(choices))]
