"""The errors a user may meet.

Each message is one line that names the thing, what was found, what was expected and the next step. It is written in one
place, `sentence`, so that all tools speak alike.
"""

from __future__ import annotations

import re


class ImperviousError(Exception):
    """Anything that went wrong for a reason the user can act on."""


class InputError(ImperviousError):
    """An option, a map or a file is not what it must be."""


class GridError(ImperviousError):
    """A raster does not lie on the one grid."""


class CatalogueError(ImperviousError):
    """A STAC catalogue gave no answer, or one that cannot be understood."""


class AccessError(ImperviousError):
    """Keys are missing, wrong or expired; the run stops, what is fetched stays."""


class FetchError(ImperviousError):
    """An object could not be had whole and unharmed."""


class OffsetError(ImperviousError):
    """The reflectance offset of a scene cannot be settled beyond doubt."""


class LegendError(ImperviousError):
    """A legend, or a label that the legend does not know."""


class ArdError(ImperviousError):
    """An analysis-ready HDF5 file is incomplete, damaged or of another contract."""


class ModelError(ImperviousError):
    """A model folder is incomplete or does not fit the data."""


class TrainingError(ImperviousError):
    """The ground at hand cannot train a model."""


class TableError(ImperviousError):
    """The table breaks its own schema or invariants."""


def shown(address: str) -> str:
    """Return an address as messages and files may hold it: without user, password, query and fragment. Paths stay as they are.

    >>> shown("https://me:secret@host:8080/v1?token=secret#top"), shown("/data/a#1@b.jp2")
    ('https://host:8080/v1', '/data/a#1@b.jp2')
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    return scheme + mark + re.sub(r"^[^/]*@", "", re.split(r"[?#]", rest, maxsplit=1)[0])


def sentence(thing: str, found: str, expected: str, then: str) -> str:
    """Compose the one line of an error.

    >>> sentence("Map <a>", "resolution 10 m", "20 m", "Set it with g.region res=20.")
    'Map <a>: found resolution 10 m, expected 20 m. Set it with g.region res=20.'
    """
    return f"{thing}: found {found}, expected {expected}. {then}"
