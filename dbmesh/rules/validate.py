"""Plain data of a file → its pydantic model, with every mistake noted at its place and in a DBA's words.

A mistaken value is removed and the rest validated again, so that what else is wrong with the file still comes out.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dbmesh.rules.mistakes import Path, Source, suggestion

Model = TypeVar("Model", bound=BaseModel)

SECRET_KEYS = frozenset({"password", "password_hash"})

_WANTED = {
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "date_type": "must be a date such as 2024-01-31",
    "date_from_datetime_inexact": "must be a date such as 2024-01-31",
    "date_from_datetime_parsing": "must be a date such as 2024-01-31",
    "datetime_type": "must be a date such as 2024-01-31",
    "datetime_parsing": "must be a date such as 2024-01-31",
    "datetime_from_date_parsing": "must be a date such as 2024-01-31",
}


def validate(model: type[Model], source: Source) -> Model | None:
    """The file's model without what is mistaken; None when too little is left. Mistakes go to ``source``."""
    data = copy.deepcopy(source.data)
    report = True
    while True:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        if report:
            _report(model, source, errors)
            report = False
        paths = [_existing(data, detail["loc"]) for detail in errors]  # before anything is taken away
        for detail, path in zip(errors, paths, strict=True):
            if not path and detail["type"] == "missing":
                _fill(data, str(detail["loc"][-1]), model, source)
            else:
                data = _without(data, path, source)
        if data is None:
            return None


def _report(model: type[BaseModel], source: Source, errors: Sequence[ErrorDetails]) -> None:
    """One mistake per error, but not also 'missing' for a key that is only misspelt."""
    meant: set[tuple[Path, str]] = set()
    for detail in errors:
        if detail["type"] == "extra_forbidden":
            path = _existing(source.data, detail["loc"])
            word, choices = str(path[-1]), _fields(model, detail["loc"][:-1])
            source.mistake(path, f"unknown key '{word}'", word=word, choices=choices, at_key=True)
            meant |= {(path[:-1], key) for key in choices if suggestion(word, [key])}
    for detail in errors:
        path = _existing(source.data, detail["loc"])
        if detail["type"] == "missing":
            key = str(detail["loc"][-1])
            if (path, key) not in meant and not source.is_broken(*path, key):
                source.mistake(path, f"the key '{key}' is missing", at_key=True)
        elif detail["type"] != "extra_forbidden":
            _report_value(source, path, detail)


def _report_value(source: Source, path: Path, detail: ErrorDetails) -> None:
    kind, ctx, given = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key = ctx["discriminator"].strip("'")
        if kind == "union_tag_not_found":
            source.mistake(path, f"the key '{key}' is missing", at_key=True)
            return
        choices = [choice.strip(" '") for choice in ctx["expected_tags"].split(",")]
        message = f"must be one of {', '.join(choices)}, not '{ctx['tag']}'"
        source.mistake((*path, key), message, word=str(ctx["tag"]), choices=choices)
    elif kind == "literal_error":
        choices = [choice.strip(" '") for choice in ctx["expected"].replace(" or ", ",").split(",")]
        message = f"must be {' or '.join(choices)}, not {_shown(given)}"
        source.mistake(path, message, word=str(given), choices=choices)
    else:
        source.mistake(path, _message(kind, ctx, given, secret=not SECRET_KEYS.isdisjoint(path)) or detail["msg"])


def _message(kind: str, ctx: Mapping[str, Any], given: object, *, secret: bool) -> str:
    """What is wrong with a value; empty when only pydantic knows."""
    if kind == "value_error":
        return str(ctx["error"])
    if kind in ("greater_than", "greater_than_equal", "less_than_equal"):
        words = {"gt": "more than", "ge": "at least", "le": "at most"}
        return "must be " + " ".join(f"{words[key]} {limit:g}" for key, limit in ctx.items())
    if kind == "string_pattern_mismatch":
        return "must be a plain name of letters, digits and underscores"
    wanted = _WANTED.get(kind, "")
    if not wanted or "empty" in wanted or secret:
        return wanted
    quotes = "; put it in quotes" if kind == "string_type" and not isinstance(given, dict | list | None) else ""
    return f"{wanted}, not {_shown(given)}{quotes}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    return ("true" if value else "false") if isinstance(value, bool) else f"'{value}'"


def _existing(data: object, loc: Sequence[Any]) -> Path:
    """The part of pydantic's location that the data has; names of union members in it are skipped."""
    path: Path = ()
    at: Any = data
    for step in loc:
        if (isinstance(at, dict) and step in at) or (isinstance(at, list) and step in range(len(at))):
            at = at[step]
            path = (*path, step)
    return path


def _without(data: object, path: Path, source: Source) -> object:
    """The data without a mistaken value; a list with a mistaken member goes whole."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    source.broken.add(path)
    if not path:
        return None
    parent: Any = data
    try:
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
    except KeyError:
        pass  # went with an earlier mistake
    return data


def _fill(data: Any, key: str, model: type[BaseModel], source: Source) -> None:
    """Stand in for a key that a file cannot do without, so that the rest of it is checked."""
    data[key] = copy.deepcopy(model.model_fields[key].examples[0])  # type: ignore[index]
    source.broken.add((key,))


def _fields(annotation: Any, loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that the model at a location knows."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
        if not loc:
            return tuple(fields)
        return _fields(fields[str(loc[0])].annotation, loc[1:])
    arguments = [argument for argument in get_args(annotation) if argument is not types.NoneType]
    if get_origin(annotation) is Annotated:
        return _fields(arguments[0], loc)
    if get_origin(annotation) in (Union, types.UnionType):
        if len(arguments) > 1:  # a union by algorithm: the location names the member
            arguments = [part for part in arguments if loc[0] in get_args(part.model_fields["algorithm"].annotation)]
            loc = loc[1:]
        return _fields(arguments[0], loc)
    return _fields(arguments[-1], loc[1:])
