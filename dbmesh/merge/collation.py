"""Which collations order strings as their WEIGHT_STRINGs do, so that rows may be merged by them without a server."""

from __future__ import annotations

import re

# Found by asking MariaDB 10.11 for every collation it has (tests/unit/merge/test_collation.py):
# * several levels of weights and PAD SPACE: no pad behind the whole weight string stands for spaces on every level;
# * big5: characters with as many strokes have one weight, yet are not equal;
# * cp1250_czech_cs, latin7: the weights of control characters, or of the second level, are not those that compare.
# gb18030_chinese_ci, which only MySQL has, was never asked.
_NOT_BY_WEIGHTS = re.compile(
    r".*_thai_520_w2|.*_czech_cs|latin7_(?:general_c[is]|estonian_cs)|big5_chinese.*|gb18030_chinese_ci"
    r"|(?:.*_)?uca1400_(?!.*nopad)(?:.*_)?(?:ai_cs|as_ci|as_cs)"
)


def compares_by_weights(collation: str) -> bool:
    """Whether equal and less are those of WEIGHT_STRING, continued by the pad where the collation is PAD SPACE."""
    return _NOT_BY_WEIGHTS.fullmatch(collation.lower()) is None
