"""The ``inline`` algorithm: a template such as ``ds_{user_id % 2}.t_order_{user_id // 2 % 4:02d}`` names the data node.

Between braces stands an expression of integers, texts and the key's columns, read by Python's grammar and computed
here, node by node: nothing of Python itself can be reached. Allowed: ``+ - * // %``, parentheses, slices of texts,
and the functions crc32, int, str, lower, upper, year, month, day. ``%`` and ``//`` round down, as in Python.
"""

from __future__ import annotations

import ast
import operator
import string
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from zlib import crc32

from dbmesh.rules.algorithms import canonical, integer_range, moment, text
from dbmesh.rules.keys import Between, KeyType, KeyValue, UnsuitableKey, integer

Evaluate = Callable[[tuple[KeyValue, ...]], object]

# A range of more integers than this asks every node rather than computing each name.
LONGEST_RANGE = 256
LONGEST_EXPRESSION = 200

_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: Mapping[str, tuple[KeyType, Callable[[KeyValue], object]]] = {
    "crc32": (KeyType.ANY, lambda value: crc32(canonical(value))),
    "int": (KeyType.ANY, lambda value: whole(value)),
    "str": (KeyType.ANY, lambda value: canonical(value).decode("utf-8", "replace")),
    "lower": (KeyType.STRING, lambda value: text(value).lower()),
    "upper": (KeyType.STRING, lambda value: text(value).upper()),
    "year": (KeyType.TEMPORAL, lambda value: moment(value).year),
    "month": (KeyType.TEMPORAL, lambda value: moment(value).month),
    "day": (KeyType.TEMPORAL, lambda value: moment(value).day),
}


class BadExpression(ValueError):
    """The template cannot be compiled; ``name`` is the unknown word, when it is one, and ``choices`` what fits."""

    def __init__(self, message: str, name: str = "", choices: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.choices = choices


@dataclass(frozen=True, slots=True)
class Inline:
    """``names`` maps what the template produces to the node's position; another name has no home."""

    template: str
    columns: tuple[str, ...]
    names: Mapping[str, int]
    key_types: tuple[KeyType, ...] = field(init=False)
    _pieces: tuple[str | tuple[Evaluate, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises BadExpression."""
        compiler = _Compiler(self.columns)
        object.__setattr__(self, "_pieces", compiler.pieces(self.template))
        object.__setattr__(self, "key_types", tuple(compiler.types))

    def name(self, values: tuple[KeyValue, ...]) -> str:
        """What the template says for a key. Raises UnsuitableKey when a value does not fit the expression."""
        try:
            return "".join(
                piece if isinstance(piece, str) else shown(piece[0](values), piece[1]) for piece in self._pieces
            )
        except (ArithmeticError, ValueError, TypeError) as error:
            raise UnsuitableKey(f"sharding key does not fit '{self.template}': {error}") from None

    def home(self, values: tuple[KeyValue, ...]) -> int | None:
        return self.names.get(self.name(values))

    def between(self, condition: Between) -> Collection[int] | None:
        span = integer_range(condition) if self.key_types == (KeyType.INTEGER,) else None
        if span is None or span.stop - span.start > LONGEST_RANGE:
            return None
        return {home for value in span if (home := self.home((value,))) is not None}

    def describe(self) -> str:
        return f"inline({self.template})"


class _Compiler:
    """Compiles the templates of one key and notes what its columns have to be."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.types = [KeyType.ANY] * len(columns)

    def pieces(self, template: str) -> tuple[str | tuple[Evaluate, str], ...]:
        pieces: list[str | tuple[Evaluate, str]] = []
        try:
            fields = list(string.Formatter().parse(template))
        except ValueError as error:
            raise BadExpression(f"is no template: {error}") from None
        for literal, expression, spec, conversion in fields:
            if literal:
                pieces.append(literal)
            if expression is not None:
                if conversion is not None or "{" in (spec or ""):
                    raise BadExpression("allows after the expression only a format such as ':02d'")
                pieces.append((self.expression(expression, spec or ""), spec or ""))
        if not any(isinstance(piece, tuple) for piece in pieces):
            raise BadExpression("contains no {expression}, so that every key would live in one node")
        return tuple(pieces)

    def expression(self, source: str, spec: str) -> Evaluate:
        if len(source) > LONGEST_EXPRESSION:
            raise BadExpression(f"has an expression of more than {LONGEST_EXPRESSION} characters")
        try:
            tree = ast.parse(source.strip(), mode="eval")
        except (SyntaxError, ValueError):
            raise BadExpression(f"has a syntax error in '{source}'") from None
        return self.node(tree.body, KeyType.TEMPORAL if "%" in spec else KeyType.ANY)

    def node(self, node: ast.expr, wanted: KeyType = KeyType.ANY) -> Evaluate:
        match node:
            case ast.Constant(value=int() | str() as constant) if not isinstance(constant, bool):
                return lambda values: constant
            case ast.Name(id=name):
                return self.column(name, wanted)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                negated = self.number(operand)
                return lambda values: -negated(values)
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
                one, compute, other = self.number(left), _OPERATORS[type(sign)], self.number(right)
                return lambda values: compute(one(values), other(values))
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
                return self.function(name, argument)
            case ast.Subscript(value=value, slice=index):
                return self.slice(value, index)
        raise BadExpression(f"may not contain '{ast.unparse(node)}'; allowed are + - * // %, slices and functions")

    def number(self, node: ast.expr) -> Callable[[tuple[KeyValue, ...]], int]:
        operand = self.node(node, KeyType.INTEGER)
        return lambda values: integer(operand(values))  # type: ignore[arg-type]  # integer() refuses what is none

    def column(self, name: str, wanted: KeyType) -> Evaluate:
        if name.lower() not in self.columns:
            raise BadExpression(f"uses '{name}', which is no column of the sharding key", name, self.columns)
        at = self.columns.index(name.lower())
        if wanted is not KeyType.ANY:
            if self.types[at] not in (KeyType.ANY, wanted):
                raise BadExpression(f"uses '{name}' both as {self.types[at]} and as {wanted}")
            self.types[at] = wanted
        return lambda values: values[at]

    def function(self, name: str, argument: ast.expr) -> Evaluate:
        if name not in _FUNCTIONS:
            raise BadExpression(f"uses the unknown function '{name}'", name, tuple(_FUNCTIONS))
        wanted, compute = _FUNCTIONS[name]
        operand = self.node(argument, wanted)
        return lambda values: compute(operand(values))  # type: ignore[arg-type]  # each function checks its argument

    def slice(self, value: ast.expr, index: ast.expr) -> Evaluate:
        subject = self.node(value, KeyType.STRING)
        if isinstance(index, ast.Slice) and index.step is None:
            low, high = bound(index.lower), bound(index.upper)
            return lambda values: text(subject(values))[low:high]  # type: ignore[arg-type]
        at = bound(index)
        if at is None:
            raise BadExpression(f"may take parts of a text only by constant positions, not '{ast.unparse(index)}'")
        return lambda values: text(subject(values))[at : at + 1 or None]  # type: ignore[arg-type]


def shown(value: object, spec: str) -> str:
    """A value in the node's name: equal values look alike whatever their type."""
    if isinstance(value, bytes):
        value = text(value)
    elif isinstance(value, Decimal):
        value = canonical(value).decode() if value % 1 else int(value)
    return format(value, spec)


def bound(node: ast.expr | None) -> int | None:
    """A constant position in a text."""
    match node:
        case ast.Constant(value=int() as at):
            return at
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as at)):
            return -at
        case None:
            return None
    raise BadExpression(f"may take parts of a text only by constant positions, not '{ast.unparse(node)}'")


def whole(value: KeyValue) -> int:
    """A text of digits, or a number without a fraction, as an int."""
    if isinstance(value, str | bytes):
        digits = text(value)
        if len(digits) > 40 or not digits.isascii() or not digits.isdigit():
            raise UnsuitableKey("int() needs a text of digits")
        return int(digits)
    return integer(value)
