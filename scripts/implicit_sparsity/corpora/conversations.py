"""Conversations as documents: the last answer is the completion, the turns before it are the prompt.

    {"messages": [{"role": "user", "content": ".."}, {"role": "assistant", "content": ".."}]}
    {"conversations": [{"from": "human", "value": ".."}, {"from": "gpt", "value": ".."}]}

A system message, if any, comes first; then user and assistant take turns, and the assistant has the last.
What is not so is a bad row. A text may be a list of parts (``{"type": "text", "text": ..}``), all of them
texts: they are joined. The prompt is the texts in their order with a blank line between them: the
study's template stands around prompt and completion as around those of any other document, and its special
tokens can come from nowhere else.
"""

from .bad import BadRecord

COLUMNS = (
    "messages",
    "conversations",
    "conversation",
)  # where `fields` does not say: the first of them that a row has
KEYS = (("role", "content"), ("from", "value"))
ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
ROLES |= {"model": "assistant", "chatgpt": "assistant", "bard": "assistant"}
ROLES |= {"system": "system", "developer": "system"}  # in capitals too
CALLS = ("tool_calls", "function_call")  # an answer by a tool, whose text is not all of it


def prompt_and_completion(messages) -> tuple[str, str]:
    """Texts of one conversation; BadRecord where it is not as the module says."""
    if not isinstance(messages, list):
        raise _bad("wrong type", f"must be a list of messages, found {type(messages).__name__}")
    turns = [_turn(message, number) for number, message in enumerate(messages, 1)]
    start = 1 if turns and turns[0][0] == "system" else 0
    wanted = ("user", "assistant")
    for i, (role, _) in enumerate(turns[start:]):
        if role != wanted[i % 2]:
            raise _bad("turns out of order", f"message {start + i + 1} is of {role}, not of {wanted[i % 2]}")
    if len(turns) == start:
        raise _bad("turns out of order", "has no turns")
    if turns[-1][0] != "assistant":
        raise _bad("turns out of order", "ends without an answer")
    texts = [text for _, text in turns if text]  # a system message may be empty
    return "\n\n".join(texts[:-1]), texts[-1]


def _turn(message, number: int) -> tuple[str, str]:
    """(role, text) of one message."""
    if not isinstance(message, dict):
        raise _bad("wrong type", f"message {number} must be an object, found {type(message).__name__}")
    by, holds = next((keys for keys in KEYS if message.get(keys[0]) is not None), (None, None))
    if by is None:
        raise _bad("missing field", f"message {number} has neither role nor from")
    role = ROLES.get(message[by].lower()) if isinstance(message[by], str) else None
    if role is None:
        raise _bad("unknown role", f"message {number} is of {str(message[by])[:40]!r}")
    if any(message.get(call) for call in CALLS):
        raise _bad("unknown role", f"message {number} calls a tool")
    text = _joined(message.get(holds))
    if text is None or (isinstance(text, str) and not text.strip()):
        if role == "system":
            return role, ""
        raise _bad("empty text", f"message {number} is empty")
    if not isinstance(text, str):
        raise _bad("wrong type", f"{holds} of message {number} must be a text, found {type(text).__name__}")
    return role, text


def _joined(content):
    """The texts of a list of parts, where all of them are texts; else the content as it is."""
    if not isinstance(content, list) or not content:
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    whole = len(texts) == len(content) and all(isinstance(text, str) for text in texts)
    return "".join(texts) if whole else content


def _bad(reason: str, message: str) -> BadRecord:
    return BadRecord(reason, message, "messages")
