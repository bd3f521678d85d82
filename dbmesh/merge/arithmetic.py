"""Numbers as MySQL calculates and prints them: exact sums, the quotient of AVG, the text of a DOUBLE."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

# SUM's DECIMAL holds at most 65 digits (81 inside the server): sums of any number of shards stay exact in this.
EXACT = Context(prec=200)

NOT_FIXED = 31  # ColumnDefinition.decimals of a DOUBLE without a scale (strings.h, NOT_FIXED_DEC)
_LONGEST_FIXED = 15  # my_gcvt, MAX_DECPT_FOR_F_FORMAT
_WORD = 9  # decimal.c, DIG_PER_DEC1: decimal digits that the server keeps in one word


def decimal_text(value: Decimal, scale: int) -> bytes:
    """DECIMAL as text, rounded half away from zero."""
    rounded = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT)
    return format(rounded, "f").encode("ascii")


def quotient(total: Decimal, count: int, total_scale: int, scale: int) -> Decimal:
    """``total / count`` with the digits that the server computes for AVG of exact numbers, to be shown with ``scale``.

    decimal.c, do_div_mod: fractions fill whole words of nine digits, further digits are cut off and not rounded.
    That shows when scale is itself a multiple of nine: AVG of 1.00000, 1.00000 and 0.00000 is 0.666666666.
    """
    kept = _words(total_scale)
    digits = _words(kept + max(0, scale - kept))
    exact = EXACT.divide(total, Decimal(count))
    return exact.quantize(Decimal(1).scaleb(-digits), ROUND_DOWN, EXACT)


def quotient_of_quotients(total: Decimal, count: int, scale: int) -> Decimal:
    """As `quotient` for a sum of quotients, of which the server keeps more digits than their type says."""
    return EXACT.divide(total, Decimal(count)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT)


def _words(digits: int) -> int:
    return -(-digits // _WORD) * _WORD


def double_text(value: float, decimals: int = NOT_FIXED) -> bytes:
    """DOUBLE as text (dtoa.c, my_gcvt and my_fcvt): the shortest digits that read back as the same number.

    Plain notation up to 15 digits before the point (16 when a digit follows it) and down to 1e-15, ``1.5e16``
    beyond. With ``decimals`` below NOT_FIXED exactly so many digits follow the point.
    """
    value += 0.0  # the server sums from 0.0, so no negative zero
    if decimals < NOT_FIXED:
        return b"%.*f" % (decimals, value)
    sign, digits, exponent = Decimal(repr(value)).normalize(EXACT).as_tuple()
    assert isinstance(exponent, int)  # a DOUBLE in MySQL is never infinite nor NaN
    text = "".join(map(str, digits))
    point = len(text) + exponent
    if point <= -_LONGEST_FIXED or point > max(_LONGEST_FIXED, len(text) - 1):
        text = f"{text[0]}.{text[1:]}".rstrip(".") + f"e{point - 1}"
    elif point <= 0:
        text = ("0." + "0" * -point + text) if value else "0"
    elif point < len(text):
        text = f"{text[:point]}.{text[point:]}"
    else:
        text = text.ljust(point, "0")
    return (("-" if sign else "") + text).encode("ascii")
