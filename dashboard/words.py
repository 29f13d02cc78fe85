"""The languages of the page: one catalogue each, in languages/.

A text is written in English in the code, and its English form is its name in the catalogues, as with gettext. Server and browser read the
same catalogue: the server with `_()`, the modules of www/ with `t()`. What the table itself says (names of regions, notes, a title of its own) is shown
as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "languages"


@dataclass(frozen=True)
class Language:
    """A catalogue."""

    code: str
    """Code of the language, such as `de`; value of `lang` in the address."""
    name: str
    """Name of the language in the language itself."""
    locale: str
    """Locale by which the browser writes numbers, such as `de-DE`."""
    decimal: str
    """Sign between the whole part of a number and its decimals."""
    thousands: str
    """Sign between groups of three digits."""
    small: bool
    """Whether a word in the middle of a sentence begins with a small letter, whatever word it is."""
    messages: Mapping[str, str]
    """English text -> text. A text that is not here is shown in English."""


def _read(path: Path) -> Language:
    return Language(code=path.stem, **json.loads(path.read_text(encoding="utf-8")))


LANGUAGES = {language.code: language for language in map(_read, sorted(FOLDER.glob("*.json")))}
DEFAULT = LANGUAGES["en"]

_now: ContextVar[Language] = ContextVar("language", default=DEFAULT)


def current() -> Language:
    """Return the language of the page that is being made."""
    return _now.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Make all texts in a language until the end of the block."""
    token = _now.set(LANGUAGES[code])
    try:
        yield
    finally:
        _now.reset(token)


def _(text: str) -> str:
    """Return a text in the language of the page."""
    return current().messages.get(text, text)


def accepted_language(header: str) -> str:
    """Choose the language that a browser's `Accept-Language` likes best; English where it names none of ours.

    >>> accepted_language("fr-CH, de;q=0.7, en;q=0.5"), accepted_language("fr"), accepted_language("de;q=0, en;q=x")
    ('de', 'en', 'en')
    """
    liked: list[tuple[float, str]] = []
    for part in header[:200].split(","):
        found = re.fullmatch(r"\s*([a-z]{2})(?:-[a-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?", part, re.IGNORECASE)
        if found and found[1].lower() in LANGUAGES and float(found[2] or 1) > 0:
            liked.append((float(found[2] or 1), found[1].lower()))
    # The first of those that are liked equally.
    return max(liked, key=lambda one: one[0])[1] if liked else DEFAULT.code
