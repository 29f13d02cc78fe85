"""The errors a user may meet, and the translation of their texts.

An error names the thing, what was found, what was expected and the next step. `ImperviousError` joins these parts to one line, so that
all tools report errors in the same form.
"""

from __future__ import annotations

import functools
import gettext
import os
import re
from pathlib import Path


@functools.cache
def _translations(gisbase: str | None) -> gettext.NullTranslations:
    """Load the catalogue of GRASS's tools for the language of the session; without one, texts stay in English."""
    if gisbase is None:
        return gettext.NullTranslations()
    return gettext.translation("grassmods", str(Path(gisbase, "locale")), fallback=True)


def _(text: str) -> str:
    """Translate a text as GRASS does, at the time of use, because a session may start after this module is imported."""
    return _translations(os.environ.get("GISBASE")).gettext(text)


def counted(number: int, one: str, many: str) -> str:
    """Return a number with the word for one or for many things, translated as GRASS does.

    >>> counted(1, "{} scene", "{} scenes"), counted(0, "{} scene", "{} scenes")
    ('1 scene', '0 scenes')
    """
    return _translations(os.environ.get("GISBASE")).ngettext(one, many, number).format(number)


def sentence(thing: str, *, found: str = "", expected: str = "", then: str = "") -> str:
    """Join the parts of a message to one line.

    thing : what is wrong; a whole statement where neither `found` nor `expected` is given
    then : what the user can do, a sentence

    >>> sentence("Map <a>", found="cells of 10 m", expected="20 m", then="Set it with g.region res=20.")
    'Map <a>: found cells of 10 m, expected 20 m. Set it with g.region res=20.'
    >>> sentence("Map <a> already exists", then="Use --overwrite, or choose another name.")
    'Map <a> already exists. Use --overwrite, or choose another name.'
    >>> sentence("Item a", found="baseline 02\\n06")
    'Item a: found baseline 02 06'
    """
    if found and expected:
        fact = _("{thing}: found {found}, expected {expected}").format(thing=thing, found=found, expected=expected)
    elif found:
        fact = _("{thing}: found {found}").format(thing=thing, found=found)
    elif expected:
        fact = _("{thing}: expected {expected}").format(thing=thing, expected=expected)
    else:
        fact = thing
    text = f"{fact}. {then}" if then else fact
    # What was found may come from a file of others: line ends and control characters would break or hide the message.
    return "".join(c if c.isprintable() else " " for c in text)


class ImperviousError(Exception):
    """A failure whose reason the user can act on.

    The parts are keyword attributes and survive pickling, so that a worker process can raise it.
    """

    def __init__(self, thing: str, *, found: str = "", expected: str = "", then: str = "") -> None:
        super().__init__(sentence(thing, found=found, expected=expected, then=then))
        self.thing, self.found, self.expected, self.then = thing, found, expected, then

    def __reduce__(self) -> tuple[object, ...]:
        """Build the error again from its parts."""
        return functools.partial(type(self), self.thing, found=self.found, expected=self.expected, then=self.then), ()


class InputError(ImperviousError):
    """An option, a map or a file is not what it must be."""


class GridError(ImperviousError):
    """A raster does not lie on the one grid."""


class CatalogueError(ImperviousError):
    """A STAC catalogue did not answer, or its answer cannot be parsed."""


class AccessError(ImperviousError):
    """Keys are missing, wrong or expired. The run stops and keeps the files that were already fetched."""


class FetchError(ImperviousError):
    """An object could not be downloaded, or it is incomplete or damaged."""


class OffsetError(ImperviousError):
    """The reflectance offset of a scene is not certain."""


class LegendError(ImperviousError):
    """A legend is invalid, or does not have a code of the map."""


class ArdError(ImperviousError):
    """An analysis-ready HDF5 file is incomplete, damaged or of another contract."""


class ModelError(ImperviousError):
    """A model folder is incomplete or does not fit the data."""


class TrainingError(ImperviousError):
    """The data are not sufficient to train a model."""


class ClusterError(ImperviousError):
    """A scheduler does not answer, its connection was lost, or a worker does not fit the run."""


class TableError(ImperviousError):
    """The table breaks its own schema or invariants."""


def without_secrets(address: str) -> str:
    """Remove user, password, query and fragment of an address, so that messages and files can contain it. Paths do not change.

    >>> without_secrets("https://me:secret@host:8080/v1?token=secret#top"), without_secrets("/data/a#1@b.jp2")
    ('https://host:8080/v1', '/data/a#1@b.jp2')
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    return scheme + mark + re.sub(r"^[^/]*@", "", re.split(r"[?#]", rest, maxsplit=1)[0])


def command_without_secrets(line: str) -> str:
    """Remove the secrets of all addresses in a command line, for the history of maps.

    >>> command_without_secrets('r.s2.fetch stac="https://me:secret@host/v1?token=secret" output=/data/a')
    'r.s2.fetch stac="https://host/v1" output=/data/a'
    """
    return re.sub(r"\w+://[^\s\"']+", lambda found: without_secrets(found[0]), line)
