"""What a cell puts into the page."""

import codecs
import re
import sys
import unicodedata

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

__all__ = ["say", "send", "spelt", "spelt_out"]

SPELT = "companion.spelt"
"""The name of an ``errors`` handler, as ``str.encode`` and a stream take one: what an encoding lacks is spelt out."""

_TABLE = """
    ✓ ok    ✗ x     ○ o     − -     – -     · *     × x     ± +/-   → ->    ← <-    √ sqrt  ∞ inf   ′ '
    ≠ !=    ≤ <=    ≥ >=    ≈ ~     ⁄ /     ² ^2    ⁻ ^-    ⁰ ^0    ᵀ ^T    ᶜ ^C    ᵏ ^k    ⁿ ^n
"""
_SPELLINGS = dict(re.findall(r"(\S) (\S+)", _TABLE))


def say(markdown: str) -> None:
    """Show Markdown from a cell: the way a number that was computed gets into the prose."""
    send({"text/markdown": markdown, "text/plain": markdown})


def send(bundle: dict[str, str]) -> None:
    """Display one thing in the richest of its forms that the page can hold; a plain script prints ``text/plain``."""
    plain = spelt(bundle["text/plain"])
    if InteractiveShell.initialized():
        display({**bundle, "text/plain": plain}, raw=True)
    else:
        print(plain)


def spelt(text: str) -> str:
    """The text as standard output can hold it, be that a console of code page 437: there τ is spelt tau."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, SPELT).decode(encoding)


def spelt_out() -> None:
    """Let all that this program prints be spelt out where its console lacks a sign: a path may hold any."""
    sys.stdout.reconfigure(errors=SPELT)  # type: ignore[union-attr]


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelling, error.object[error.start : error.end])), error.end


def _spelling(character: str) -> str:
    """In ASCII: from the table, a Greek letter's name, a letter without its accent, or else the number of its code."""
    match unicodedata.name(character, "").split():
        case _ if character in _SPELLINGS:
            return _SPELLINGS[character]
        case ["GREEK", "SMALL", "LETTER", name]:
            return name.lower()
        case ["GREEK", "CAPITAL", "LETTER", name]:
            return name.capitalize()
    apart = unicodedata.normalize("NFKD", character)
    if apart != character and unicodedata.category(character) != "Sm":  # without its stroke a sign says the opposite
        return "".join(map(_spelling, apart))
    if unicodedata.combining(character):
        return ""
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error(SPELT, _spell)
