"""Python functions that are wrong in one place: which is right depends on what the function should do.

    "return i < len(xs)"  ->  "return i <= len(xs)", "return i > len(xs)", "return xs < len(xs)", ...

The classical operators of mutation testing (DeMillo, Lipton and Sayward 1978) on the tokens of the body: a
comparison, an arithmetic or logical operator, a constant, or one variable in place of another. Some mutants
compute the same as the original ("<= 0" of a length): a few per cent, which no rule finds.
"""

import ast
import io
import keyword
import re
import tokenize

PLACES = """
< <= > | <= < >= | > >= < | >= > <= | == != | != == | and or | or and | True False | False True
+ - | - + | * + | / * | // / | % // | += -= | -= += | min max | max min | any all | all any
0 1 | 1 0 | 2 1 | break continue | continue break
"""
NAMED = ("=", ":", "in", ",")  # what follows a name that is assigned to, or an argument's
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SWAPS = {token: others for token, *others in map(str.split, re.split(r"[|\n]", PLACES.strip()))}


def mutants(prompt: str, completion: str) -> list[str] | None:
    """Completions that differ from ``completion`` in one token and still are Python; None where prompt and
    completion are not together a Python function."""
    text = f"{prompt}\n{completion}\n"
    parsed = _parsed(text)
    if parsed is None or not any(isinstance(node, FUNCTIONS) for node in parsed.body):
        return None
    first = prompt.count("\n") + 2  # line of the completion's first token
    names = _variables(parsed)
    lines, result = completion.split("\n"), []
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for before, token, after in zip(tokens, tokens[1:], tokens[2:]):
        if token.start[0] >= first:
            row, (start, end) = token.start[0] - first, (token.start[1], token.end[1])
            for other in _others(before, token, after, names):
                line = lines[row][:start] + other + lines[row][end:]
                result.append("\n".join([*lines[:row], line, *lines[row + 1 :]]))
    return [mutant for mutant in dict.fromkeys(result) if _parsed(f"{prompt}\n{mutant}\n") is not None]


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _variables(parsed: ast.Module) -> list[str]:
    """Arguments and what is assigned to, sorted; without the object itself."""
    nodes = list(ast.walk(parsed))
    names = {node.arg for node in nodes if isinstance(node, ast.arg)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return sorted(names - {"self", "cls"})


def _others(before, token, after, names: list[str]) -> list[str]:
    """What may stand in the token's place."""
    if token.type not in (tokenize.NAME, tokenize.OP, tokenize.NUMBER) or before.string == ".":
        return []
    if token.string in SWAPS:
        return SWAPS[token.string]
    is_variable = token.string in names and not keyword.iskeyword(token.string)
    if is_variable and after.string not in NAMED:
        return [name for name in names if name != token.string]
    return []
