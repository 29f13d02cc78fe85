"""STAC catalogues (pystac-client) and item collection files.

Servers differ in what they filter, sort and page, so answers are checked: the caller filters again, duplicates are dropped, and a search
counts as complete only if the server ended the paging itself or its own count was reached. A count may be an estimate, and pages may
repeat: then the halves of the time are searched, and only if they bring nothing new the search is complete.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from imperviouslib.core.errors import CatalogueError, InputError, _, without_secrets
from imperviouslib.edge.files import text_encoding
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
        with path.open(encoding=text_encoding(path)) as text:
            found = False
            for item in read_members(text, "features"):
                found = True
                if not isinstance(item, dict):
                    raise fail(_("a value that is not an item"))
                yield item
        if not found:
            raise fail(_("no item"))
    except (UnicodeError, json.JSONDecodeError, RecursionError) as err:
        raise fail(_("text that is not complete JSON ({})").format(type(err).__name__)) from err


def item_base(item: Mapping[str, Any], stac: str) -> str:
    """Return the address to which relative links of an item belong: its own, or else that of its catalogue."""
    links = item.get("links")
    own = [
        str(link.get("href"))
        for link in (links if isinstance(links, list) else ())
        if isinstance(link, dict) and link.get("rel") == "self"
    ]
    served = [href for href in own if re.match(r"https?://", href)]
    return served[0].rsplit("/", 1)[0] if served else CATALOGUES.get(stac, (stac, ""))[0]


def search(
    stac: str,
    collection: str | None,
    bbox: tuple[float, float, float, float],
    first: str,
    last: str,
    *,
    note: Callable[[str], object] = lambda text: None,
) -> list[dict[str, Any]]:
    """Search a STAC API.

    bbox : west, south, east, north in degrees
    first, last : days, yyyy-mm-dd, both included
    note : called with a sentence about an answer that is complete but not as it should be
    Returns: items as plain dictionaries, each once, sorted by id; raises CatalogueError where the answer is not complete
    """
    address, default = CATALOGUES.get(stac, (stac, "sentinel-2-l2a"))
    collection = collection or default
    for attempt in range(_TRIES):
        try:
            return _search_once(address, collection, bbox, f"{first}T00:00:00Z/{last}T23:59:59Z", note)
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


_WITHOUT_POST = (400, 404, 405, 415, 501)
"""What servers answer to a search by POST that they do not offer."""
_EMPTY_PAGES = 3
"""A search ends after as many pages without an item, one after the other."""


def _search_once(
    address: str, collection: str, bbox: tuple[float, ...], when: str, note: Callable[[str], object]
) -> list[dict[str, Any]]:
    import requests
    from pystac_client.exceptions import APIError

    try:
        with warnings.catch_warnings():
            # Servers that do not list every conformance class answer nevertheless; whether the answer is complete is checked below.
            warnings.simplefilter("ignore")
            client = _open(address)
            asked = {"collections": [collection], "bbox": bbox, "limit": PAGE, "max_items": None}
            try:
                items = _search_by("POST", client, asked, when, note)
            except APIError as err:
                if getattr(err, "status_code", None) not in _WITHOUT_POST:
                    raise
                items = _search_by("GET", client, asked, when, note)
    except (
        APIError,
        requests.RequestException,
        json.JSONDecodeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        NotImplementedError,
        RecursionError,
    ) as err:
        # The address of a page may hold a token, so the text of the library is not repeated.
        raise _IncompleteError(_short(err)) from None
    return [items[key] for key in sorted(items)]


def _open(address: str) -> Any:
    """Return a client whose requests are tried again when a server is busy."""
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    class ReadIO(StacApiIO):  # type: ignore[misc]
        def json_loads(self, txt: str, *_args: Any, **_kwargs: Any) -> Any:
            """Decode JSON as Python writes it, also with a byte order mark and NaN."""
            return json.loads(txt.removeprefix("\ufeff"))

    retry = Retry(
        total=6, connect=2, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None
    )
    client = Client.open(address, stac_io=ReadIO(max_retries=retry, timeout=60))
    client.add_conforms_to("ITEM_SEARCH")
    return client


def _search_by(
    method: str, client: Any, asked: dict[str, Any], when: str, note: Callable[[str], object]
) -> dict[str, dict[str, Any]]:
    """Search by POST or GET. Returns: id to item; raises _IncompleteError where items are missing."""
    items: dict[str, dict[str, Any]] = {}
    matched: int | None = None
    counts: list[int] = []
    repeats = False
    for page in _pages(method, client, asked, when):
        count = page.get("numberMatched", (page.get("context") or {}).get("matched"))
        matched = int(count) if str(count).isdecimal() else matched
        new = _by_id(page)
        if counts and not new.keys() - items.keys() and (new or not any(counts[-_EMPTY_PAGES:])):
            # Its next page would be this one again.
            repeats = True
            break
        counts.append(len(page["features"]))
        items |= new
    # Servers repeat items on several pages, so all that came are counted, including duplicates.
    missing = matched is not None and sum(counts) < matched
    # A server without paging also answers with one full page, and drops the rest.
    cut = matched is None and counts and (counts[-1] >= PAGE or (len(counts) == 1 and counts[0] >= _SUSPICIOUS))
    if missing or cut or repeats:
        _check_not_cut(method, client, asked, when, set(items), matched if missing else None)
    if repeats:
        note(_("The catalogue repeated a page; all its {} items came before.").format(len(items)))
    elif missing:
        note(_("The catalogue announced {} items and has {}: its number is an estimate.").format(matched, sum(counts)))
    return items


def _by_id(page: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the items of a page by id; one without an id, which is refused later, by its content."""
    features = page["features"]
    if not isinstance(features, list) or not all(isinstance(item, dict) for item in features):
        raise _IncompleteError(_("an answer without a list of items"))
    return {str(item.get("id") or json.dumps(item, sort_keys=True)): item for item in features}


def _pages(method: str, client: Any, asked: dict[str, Any], when: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of a search, empty ones too: pystac-client ends at the first empty page, though the server has more."""
    from pystac import Link

    query, io = client.search(method=method, datetime=when, **asked), client._stac_io
    page = io.read_json(query.url, method=query.method, parameters=query.get_parameters())
    while True:
        yield page
        link = next((link for link in page.get("links") or () if link.get("rel") == "next" and link.get("href")), None)
        if link is None:
            return
        link = Link.from_dict({**link, "href": urljoin(query.url, link["href"])})
        page = io.read_json(link, parameters=query.get_parameters())


_SUSPICIOUS = 10
"""A single page of as many items may be a server's limit, whatever page size was requested."""


_HALVINGS = 8
"""Halvings of the time of a search: half a year comes down to less than a day."""


def _check_not_cut(
    method: str, client: Any, asked: dict[str, Any], when: str, seen: set[str], matched: int | None
) -> None:
    """Search the halves of the time, and the halves of a half that has all items; raise where there are items that were not seen.

    matched : number of items that the server announced, if there were fewer
    """
    first, last = (datetime.fromisoformat(word) for word in when.split("/"))
    spans = [(first, last)]
    for _halving in range(_HALVINGS):
        halves = [half for a, b in spans for half in ((a, a + (b - a) / 2), (a + (b - a) / 2, b))]
        spans = []
        for half in halves:
            span = "/".join(f"{day:%Y-%m-%dT%H:%M:%SZ}" for day in half)
            found = _by_id(next(_pages(method, client, asked, span))).keys()
            if found - seen:
                text = _("only the first {} items of a longer list").format(len(seen))
                raise _IncompleteError(_("{} of {} items").format(len(seen), matched) if matched else text)
            if found and len(found) == len(seen):
                # This half may be cut at the same number.
                spans.append(half)


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
