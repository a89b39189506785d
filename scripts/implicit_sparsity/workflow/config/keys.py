"""What keys of the config are made of: numbers with limits, names, lists without repetition."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from implicit_sparsity.storage.files import is_inside


class Section(BaseModel):
    """A mapping with these keys and no others; a value is what it looks like, "3" is no number."""

    model_config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), arbitrary_types_allowed=True
    )


class Entry(Section):
    """A mapping that takes further keys: options, which the module that they are for knows."""

    model_config = ConfigDict(extra="allow")


def key(meaning: str, choose: str = "", default=..., **limits):
    """A key of a section: what it means, how to choose it, its value where it is left out, its limits.

    ``limits`` are those of pydantic's Field, and ``allowed``, words for an error line.
    """
    words = f"{meaning} How to choose: {choose}" if choose else meaning
    if "allowed" in limits:
        limits["json_schema_extra"] = {"x-allowed": limits.pop("allowed")}
    return Field(default, description=words, **limits)


def allowed(words: str, **more):
    """Words for an error line, where the limits themselves do not say it; ``more`` goes into the schema."""
    return Field(json_schema_extra={"x-allowed": words, **more})


def each_once(values):
    """``values``, or an error where one of them is there twice."""
    for position, item in enumerate(values):
        if item in values[:position]:
            raise PydanticCustomError("twice", "{item} twice", {"item": item})
    return values


def off(value):
    """``value``, or an error where it equals false and is not: 0."""
    if value is not False:
        raise PydanticCustomError("literal_error", "false")
    return value


def inside(value: str):
    """``value``, or an error where it is no path inside the folder that it is relative to."""
    if not is_inside(value):
        raise PydanticCustomError("words", "{allowed}", {"allowed": "a path inside the package, without .."})
    return value


Off = Annotated[Literal[False], BeforeValidator(off)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]
PathInside = Annotated[str, Field(min_length=1), AfterValidator(inside)]
Options = dict[str, Any]  # of a module: names and values are checked against its source
EachOnce = (AfterValidator(each_once), Field(json_schema_extra={"uniqueItems": True}))
NAME_WORDS = "a name of lower-case letters, digits and _ that starts with a letter"
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Revision = Annotated[str, Field(pattern="^[0-9a-f]{40}$"), allowed("the 40 hexadecimal digits of a commit")]
