"""Numbers as readers see them, in statements and reports."""

from __future__ import annotations

__all__ = ["number", "scientific"]

_EXPONENT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scientific(value: float) -> str:
    """A number times a power of ten, with up to 10 significant digits.

    >>> scientific(1e-12), scientific(2e4), scientific(-4.6e-7)
    ('10⁻¹²', '2·10⁴', '−4.6·10⁻⁷')
    """
    mantissa, exponent = f"{value:.9e}".split("e")
    power = f"10{str(int(exponent)).translate(_EXPONENT)}"
    shown = f"{float(mantissa):.10g}"
    return (power if shown == "1" else f"{shown}·{power}").replace("-", "−")


def number(value: float) -> str:
    """Integers in full, others with up to 10 significant digits.

    >>> number(20), number(0.25), number(1.5e-13)
    ('20', '0.25', '1.5·10⁻¹³')
    """
    if isinstance(value, int):
        return str(value)
    text = f"{value:.10g}"
    return scientific(value) if "e" in text else text.replace("-", "−")
