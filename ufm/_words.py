"""Numbers and errors as readers see them, in statements, reports and messages."""

from __future__ import annotations

__all__ = ["number", "said", "scientific"]

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


def said(error: BaseException) -> str:
    """``"Type: message"`` of what was raised, by whatever code: a message that itself fails is left out.

    >>> class Mute(Exception):
    ...     def __str__(self):
    ...         return 1 / 0
    >>> said(KeyError("x")), said(Mute())
    ("KeyError: 'x'", 'Mute, whose message cannot be shown')
    """
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except Exception:
        return f"{name}, whose message cannot be shown"
