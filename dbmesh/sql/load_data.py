"""LOAD DATA read by its tokens: where its parts stand. MySQL 8.4 Reference Manual 15.2.9, "LOAD DATA Statement"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dbmesh.errors import NotSupported, ParseError
from dbmesh.sql.layout import Span
from dbmesh.sql.tokens import Token, TokenKind, tokens

_NONE = Span(0, 0)
_STRINGS = (TokenKind.STRING, TokenKind.HEX)


@dataclass(slots=True)
class LoadData:
    """Spans count tokens. Separators are literals as they are written, None where the text does not give them.

    ``columns``: lower-cased, None for a user variable; the whole list is None where there is none. ``variables``: the
    user variables that the list fills. ``set_columns``: lower-cased. ``skip``: of IGNORE n LINES, its tokens in
    ``skip_span``. ``list_at``: the token behind the list's opening parenthesis.
    """

    tokens: Sequence[Token]
    local: bool = False
    file: str = ""
    replace: bool = False
    database: str = ""
    table: str = ""
    name: Span = _NONE
    charset: str | None = None
    terminated: str | None = None
    enclosed: str | None = None
    escaped: str | None = None
    starting: str | None = None
    lines_terminated: str | None = None
    skip: int = 0
    skip_span: Span = _NONE
    columns: tuple[str | None, ...] | None = None
    list_at: int = 0
    variables: tuple[Token, ...] = ()
    set_columns: tuple[str, ...] = ()
    set_span: Span = _NONE


def read_load(text: str) -> LoadData:
    """Raises ParseError for what is no LOAD DATA, and NotSupported for LOAD XML."""
    found = [token for token in tokens(text) if token.kind is not TokenKind.COMMENT]
    while found and found[-1].text == ";":
        found.pop()
    return _Reader(text, found).read()


@dataclass(slots=True)
class _Reader:
    text: str
    found: list[Token]
    at: int = 0
    load: LoadData = field(init=False)

    def read(self) -> LoadData:
        self.load = LoadData(self.found)
        self._expect("LOAD")
        if self._accept("XML"):
            raise NotSupported("LOAD XML is not split by shard", "use LOAD DATA or INSERT statements of many rows")
        self._expect("DATA")
        _ = self._accept("LOW_PRIORITY") or self._accept("CONCURRENT")
        self.load.local = self._accept("LOCAL")
        self._expect("INFILE")
        self.load.file = self._string()
        self.load.replace = self._accept("REPLACE")
        _ = self.load.replace or self._accept("IGNORE")
        self._expect("INTO")
        self._expect("TABLE")
        self._table()
        if self._accept("CHARACTER", "SET") or self._accept("CHARSET"):
            self.load.charset = self._take().name.lower()
        self._separators()
        self._skip()
        self._columns()
        self._set()
        if self.at < len(self.found):
            raise self._wrong()
        return self.load

    def _table(self) -> None:
        first = self.at
        self.load.table = self._name()
        if self._accept("."):
            self.load.database, self.load.table = self.load.table, self._name()
        self.load.name = Span(first, self.at)
        if self._word() == "PARTITION":
            raise NotSupported("LOAD DATA with PARTITION", "leave the clause out")

    def _separators(self) -> None:
        if self._accept("FIELDS") or self._accept("COLUMNS"):
            while True:
                if self._accept("TERMINATED", "BY"):
                    self.load.terminated = self._string()
                elif self._accept("OPTIONALLY", "ENCLOSED", "BY") or self._accept("ENCLOSED", "BY"):
                    self.load.enclosed = self._string()
                elif self._accept("ESCAPED", "BY"):
                    self.load.escaped = self._string()
                else:
                    break
        if self._accept("LINES"):
            while True:
                if self._accept("TERMINATED", "BY"):
                    self.load.lines_terminated = self._string()
                elif self._accept("STARTING", "BY"):
                    self.load.starting = self._string()
                else:
                    break

    def _skip(self) -> None:
        first = self.at
        if self._accept("IGNORE"):
            number = self._take()
            if not number.text.isdigit() or not (self._accept("LINES") or self._accept("ROWS")):
                raise self._wrong()
            self.load.skip = int(number.text)
            self.load.skip_span = Span(first, self.at)

    def _columns(self) -> None:
        if not self._accept("("):
            return
        self.load.list_at = self.at
        columns: list[str | None] = []
        if not self._accept(")"):
            while True:
                token = self._take()
                if token.kind is TokenKind.VARIABLE:
                    self.load.variables += (token,)
                    columns.append(None)
                elif token.is_name:
                    columns.append(self._column(token))
                else:
                    raise self._wrong(-1)
                if self._accept(")"):
                    break
                self._expect(",")
        self.load.columns = tuple(columns) if columns else None

    def _column(self, first: Token) -> str:
        name = first.name
        while self._accept("."):
            name = self._name()
        return name.lower()

    def _set(self) -> None:
        first = self.at
        if not self._accept("SET"):
            return
        names = []
        while True:
            names.append(self._column(self._take()))
            self._expect("=")
            depth = 0
            while self.at < len(self.found) and (depth or self.found[self.at].text != ","):
                depth += (self.found[self.at].text == "(") - (self.found[self.at].text == ")")
                self.at += 1
            if not self._accept(","):
                break
        self.load.set_columns = tuple(names)
        self.load.set_span = Span(first, self.at)

    # -- tokens

    def _word(self) -> str:
        return (self.found[self.at].upper or self.found[self.at].text) if self.at < len(self.found) else ""

    def _accept(self, *words: str) -> bool:
        here = [token.upper or token.text for token in self.found[self.at : self.at + len(words)]]
        if here != list(words):
            return False
        self.at += len(words)
        return True

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._wrong()

    def _take(self) -> Token:
        if self.at >= len(self.found):
            raise self._wrong()
        self.at += 1
        return self.found[self.at - 1]

    def _name(self) -> str:
        token = self._take()
        if not token.is_name:
            raise self._wrong(-1)
        return token.name

    def _string(self) -> str:
        token = self._take()
        if token.kind not in _STRINGS:
            raise self._wrong(-1)
        return token.text

    def _wrong(self, back: int = 0) -> ParseError:
        at = self.at + back
        rest = self.text[self.found[at].start :] if at < len(self.found) else ""
        return ParseError.near(rest)
