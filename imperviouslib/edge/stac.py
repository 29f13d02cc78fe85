"""STAC catalogues (pystac-client) and item collection files.

Servers differ in what they filter, sort and page, so nothing of theirs is trusted: filters are applied again on our side, doubles are
dropped, and a search counts as complete only where the paging ended by itself or the server's own count was reached.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imperviouslib.core.errors import CatalogueError, InputError, sentence
from imperviouslib.edge.objects import scrub

CATALOGUES: dict[str, tuple[str, str]] = {
    "cdse": ("https://stac.dataspace.copernicus.eu/v1", "sentinel-2-l2a"),
    # Not sentinel-2-l2a: its items' word on the offset is not reliable (earth-search issues 66 and 71).
    "earthsearch": ("https://earth-search.aws.element84.com/v1", "sentinel-2-c1-l2a"),
}
PAGE = 100
"""Items a page: every known server grants as many."""
_TRIES = 4


def is_file(stac: str) -> bool:
    """Tell whether the option names a file rather than a service."""
    return "://" not in stac and stac not in CATALOGUES


def read_collection(path: Path) -> list[dict[str, Any]]:
    """Read the items of a file: an item collection, a list of items or one item."""
    then = "Write a STAC item collection (GeoJSON)."
    if not path.is_file():
        raise InputError(
            sentence(
                "Option <stac>",
                f"no file '{path}'",
                f"{', '.join(CATALOGUES)}, an address or a file",
                "Check the name.",
            )
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise CatalogueError(
            sentence(f"File '{path}'", f"no whole JSON ({err.__class__.__name__})", "a STAC item collection", then)
        ) from err
    items = content.get("features", [content]) if isinstance(content, dict) else content
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise CatalogueError(sentence(f"File '{path}'", "no list of items", "a STAC item collection", then))
    return items


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
            # A page cut in the middle raises here; the whole search is asked again, so that no page is missing.
            found = scrub(str(err))
            if attempt + 1 == _TRIES:
                raise CatalogueError(
                    sentence(
                        f"Catalogue '{address}'",
                        f"{found}, {_TRIES} times",
                        f"all items of {collection} for {first} to {last}",
                        "Check the address and the network, and run the same command again.",
                    )
                ) from err
    raise AssertionError("unreachable")


class _IncompleteError(Exception):
    """A search that did not come to its end."""


def _search_once(address: str, collection: str, bbox: tuple[float, ...], when: str) -> list[dict[str, Any]]:
    import requests
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(total=6, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None)
    try:
        with warnings.catch_warnings():
            # Servers that do not list every conformance class answer all the same, and what they leave out is tested below.
            warnings.simplefilter("ignore")
            client = Client.open(address, stac_io=StacApiIO(max_retries=retry, timeout=60))
            client.add_conforms_to("ITEM_SEARCH")
            query = client.search(collections=[collection], bbox=bbox, datetime=when, limit=PAGE, max_items=None)
            items: dict[str, dict[str, Any]] = {}
            matched = None
            for page in _pages(query):
                told = page.get("numberMatched", (page.get("context") or {}).get("matched"))
                matched = told if told is not None else matched
                for item in page.get("features", []):
                    items[item["id"]] = item
    except (
        APIError,
        requests.RequestException,
        json.JSONDecodeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as err:
        raise _IncompleteError(_short(err)) from err
    if matched is not None and len(items) < int(matched):
        raise _IncompleteError(f"{len(items)} of {matched} items")
    if len(items) == PAGE:
        # Exactly one full page is what a server without paging gives for any larger answer: ask for the halves to tell.
        raise_if_cut(address, collection, bbox, when, set(items))
    return [items[key] for key in sorted(items)]


def raise_if_cut(address: str, collection: str, bbox: tuple[float, ...], when: str, seen: set[str]) -> None:
    """Ask again for the two halves of the box; raise where they hold items that the one full page did not."""
    west, south, east, north = bbox
    middle = (west + east) / 2
    for half in ((west, south, middle, north), (middle, south, east, north)):
        more = _first_page(address, collection, half, when)
        if more - seen:
            raise _IncompleteError(f"only the first {PAGE} items of a longer list")


def _first_page(address: str, collection: str, bbox: tuple[float, ...], when: str) -> set[str]:
    from pystac_client import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = Client.open(address)
        client.add_conforms_to("ITEM_SEARCH")
        query = client.search(collections=[collection], bbox=bbox, datetime=when, limit=PAGE, max_items=PAGE)
        return {item["id"] for page in _pages(query) for item in page.get("features", [])}


def _pages(query: Any) -> Iterator[Mapping[str, Any]]:
    yield from query.pages_as_dicts()


def _short(err: Exception) -> str:
    status = getattr(err, "status_code", None)
    if status:
        return f"HTTP status {status}"
    text = str(err).strip().split("\n", 1)[0]
    return f"{type(err).__name__}: {text[:120]}" if text else type(err).__name__
