"""What is said of a sharding key's literal where there is no one value."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal


class Verdict(Enum):
    """What a literal can be instead of a value."""

    UNKNOWN = "several stored values may be equal"
    NOTHING = "no stored value is equal"


UNKNOWN: Final[Literal[Verdict.UNKNOWN]] = Verdict.UNKNOWN
NOTHING: Final[Literal[Verdict.NOTHING]] = Verdict.NOTHING
