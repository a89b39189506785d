"""A wrong config ends in one line: file, key, what was found, what is allowed.

Of each kind of check one, and those of sweeps and optional parts; all others are in config/, by the module
that finds them.
"""

import pytest
import refusals

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "mehtods: {}": ("mehtods", "unknown key", "did you mean methods?"),
    "optional: {mine: {seed: 1}}": ("seed", "unknown key", "did you mean seeds?"),
    "optional: {mine: {models: {x: {source: zoo}}}}": ("models.x.source", "'zoo'", "package | hub"),
    "optional: {mine: {with: [ladder]}}": ("optional.mine", "mapping", "without optional and with"),
    "methods: {lora: {rnak: 8}}": ("methods.lora.rnak", "unknown key", "did you mean rank?"),
    "orders: {forward: [code, maths]}": (
        "orders.forward[1]",
        "'maths', which is no domain",
        "did you mean math?",
    ),
    "methods: {lora: {sweep: {learning_rate: [0.1, 0.10000001]}}}": (
        "methods.lora.sweep.learning_rate",
        "two values of one name",
        "six digits",
    ),
    "methods: {lora: {models: [x]}}": ("methods.lora.models[0]", "no model", "smollm2"),
    "methods: {loar: {}}": ("methods.loar", "no module of methods", "did you mean lora?"),
    "methods: {wide: {uses: lroa}}": ("methods.wide.uses", "'lroa'", "did you mean lora?"),
    "methods: {lora: {sweep: {rank: [4]}}, lora_rank_4: {uses: lora}}": (
        "methods.lora",
        "lora_rank_4, which is also another entry",
        "another name",
    ),
    "methods: {activation_mask: {controls: true, sweep: {choose: [active]}}}": (
        "methods.activation_mask.sweep.choose",
        "what its control",
        "another option",
    ),
    "probed_methods: [lor]": ("probed_methods[0]", "no method", "did you mean lora?"),
    "with: laddr": ("with", "'laddr', which is no optional part", "did you mean ladder?"),
    "with: [ladder, more]": ("with", "'more', which is no optional part", "ladder"),
    "with: 3": ("with", "3", "a name or a list of names"),
    "with: ladder\noptional: {ladder: false, comparison: false, taste: false}": (
        "with",
        "'ladder'",
        "none, there is no optional part",
    ),
    "optional: [3]": ("optional", "[3]", "mapping"),
    "optional: {mine: 3}": ("optional.mine", "3", "a mapping, or false"),
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_wrong_config_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])
