"""STAC catalogues (pystac-client) and item collection files.

Servers differ in what they filter, sort and page, so answers are checked: the caller filters again, duplicates are dropped, and a search
counts as complete only if the server ended the paging itself or its own count was reached.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from imperviouslib.core.errors import CatalogueError, InputError, _, without_secrets
from imperviouslib.edge.jsonstream import read_members
from imperviouslib.edge.objects import scrub

CATALOGUES: dict[str, tuple[str, str]] = {
    "cdse": ("https://stac.dataspace.copernicus.eu/v1", "sentinel-2-l2a"),
    # Not sentinel-2-l2a: its items are not reliable about the offset (issues 66 and 71 of earth-search).
    "earthsearch": ("https://earth-search.aws.element84.com/v1", "sentinel-2-c1-l2a"),
}
PAGE = 100
"""Items a page: every known server gives as many."""
_TRIES = 3


def is_file(stac: str) -> bool:
    """Tell whether the option names a file rather than a service."""
    return "://" not in stac and stac not in CATALOGUES


def read_collection(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the items of a file: an item collection, a list of items, items one a line, or one item.

    The file is read piece by piece, because an item of CDSE takes some 40 kB and several years need many thousands of items. A file that
    is cut off raises CatalogueError.
    """
    if not path.is_file():
        raise InputError(
            _("Option <stac>"),
            found=_("no file '{}'").format(path),
            expected=_("{}, an address, or a file with items").format(", ".join(CATALOGUES)),
            then=_("Check the name."),
        )

    def fail(found: str) -> CatalogueError:
        return CatalogueError(
            _("File '{}'").format(path),
            found=found,
            expected=_("a STAC item collection"),
            then=_("Write a STAC item collection (GeoJSON) to the file."),
        )

    try:
        # "sig": editors of Windows begin a file with a byte order mark.
        with path.open(encoding="utf-8-sig") as text:
            found = False
            for item in read_members(text, "features"):
                found = True
                if not isinstance(item, dict):
                    raise fail(_("a value that is not an item"))
                yield item
        if not found:
            raise fail(_("no item"))
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise fail(_("text that is not complete JSON ({})").format(type(err).__name__)) from err


def search(
    stac: str, collection: str | None, bbox: tuple[float, float, float, float], first: str, last: str
) -> list[dict[str, Any]]:
    """Search a STAC API.

    bbox : west, south, east, north in degrees
    first, last : days, yyyy-mm-dd, both included
    Returns: items as plain dictionaries, each once, sorted by id; raises CatalogueError where the answer is not complete
    """
    address, default = CATALOGUES.get(stac, (stac, "sentinel-2-l2a"))
    collection = collection or default
    for attempt in range(_TRIES):
        try:
            return _search_once(address, collection, bbox, f"{first}T00:00:00Z/{last}T23:59:59Z")
        except _IncompleteError as err:
            # The whole search is repeated, so that no page is missing.
            found = scrub(str(err))
            if attempt + 1 == _TRIES:
                raise CatalogueError(
                    _("Catalogue '{}'").format(without_secrets(address)),
                    found=_("{}, {} times").format(found, _TRIES),
                    expected=_("all items of {} from {} to {}").format(collection, first, last),
                    then=_("Check the address and the network, and run the same command again."),
                ) from None
    raise AssertionError("unreachable")


class _IncompleteError(Exception):
    """A search whose answer is not complete."""


def _search_once(address: str, collection: str, bbox: tuple[float, ...], when: str) -> list[dict[str, Any]]:
    import requests
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(
        total=6, connect=2, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None
    )
    try:
        with warnings.catch_warnings():
            # Servers that do not list every conformance class answer nevertheless; whether the answer is complete is checked below.
            warnings.simplefilter("ignore")
            client = Client.open(address, stac_io=StacApiIO(max_retries=retry, timeout=60))
            client.add_conforms_to("ITEM_SEARCH")
            query = client.search(collections=[collection], bbox=bbox, datetime=when, limit=PAGE, max_items=None)
            items: dict[str, dict[str, Any]] = {}
            matched, counts = None, []
            for page in query.pages_as_dicts():
                count = page.get("numberMatched", (page.get("context") or {}).get("matched"))
                matched = count if count is not None else matched
                features = page["features"]
                counts.append(len(features))
                for item in features:
                    items[item["id"]] = item
        # Servers repeat items on several pages, so all that came are counted, including duplicates.
        if matched is not None and sum(counts) < int(matched):
            raise _IncompleteError(_("{} of {} items").format(sum(counts), matched))
        if matched is None and counts and (counts[-1] >= PAGE or (len(counts) == 1 and counts[0] >= _SUSPICIOUS)):
            # A server without paging also answers with one full page, and drops the rest.
            _check_not_cut(address, collection, bbox, when, set(items))
    except (
        APIError,
        requests.RequestException,
        json.JSONDecodeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as err:
        # The address of a page may hold a token, so the text of the library is not repeated.
        raise _IncompleteError(_short(err)) from None
    return [items[key] for key in sorted(items)]


_SUSPICIOUS = 10
"""A single page of as many items may be a server's limit, whatever page size was requested."""


def _check_not_cut(address: str, collection: str, bbox: tuple[float, ...], when: str, seen: set[str]) -> None:
    """Search the two halves of the time; raise where they hold items that are not among those seen."""
    first, last = (datetime.fromisoformat(word) for word in when.split("/"))
    middle = first + (last - first) / 2
    for half in ((first, middle), (middle, last)):
        span = "/".join(f"{day:%Y-%m-%dT%H:%M:%SZ}" for day in half)
        if _first_page(address, collection, bbox, span) - seen:
            raise _IncompleteError(_("only the first {} items of a longer list").format(len(seen)))


def _first_page(address: str, collection: str, bbox: tuple[float, ...], when: str) -> set[str]:
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = Client.open(address, stac_io=StacApiIO(timeout=60))
        client.add_conforms_to("ITEM_SEARCH")
        query = client.search(collections=[collection], bbox=bbox, datetime=when, limit=PAGE, max_items=PAGE)
        return {item["id"] for page in query.pages_as_dicts() for item in page.get("features", [])}


_FAULTS = {
    "Failed to resolve": "no server of that name, or no network",
    "NameResolutionError": "no server of that name, or no network",
    "Connection refused": "a refused connection",
    "Network is unreachable": "no network",
    "CERTIFICATE_VERIFY_FAILED": "a certificate that cannot be verified",
    "timed out": "no answer in time",
}
"""Part of a network library's message, and the words for the user: the message itself is long and nested three deep."""


def _short(err: Exception) -> str:
    status = getattr(err, "status_code", None)
    if status:
        return _("HTTP status {}").format(status)
    if "IncompleteRead" in str(err):
        return _("an answer that was cut off")
    if isinstance(err, json.JSONDecodeError):
        return _("an answer that is not complete JSON")
    for part, found in _FAULTS.items():
        if part in str(err):
            return found
    text = scrub(str(err).strip().split("\n", 1)[0])
    # A message that repeats an address may repeat a token in it.
    text = re.sub(r"\?\S*", "", text)
    return f"{type(err).__name__}: {text[:120]}" if text else type(err).__name__
