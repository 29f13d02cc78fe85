"""Objects whole and unharmed, or parts of them, from S3, http(s) or a local path (obstore signs, requests gets).

One GET brings a whole object, which is then checked by size and checksum before anything reads it; parts come by ranged GETs with the
same retries, and are checked to be of one version of the object. Keys come from the environment
(the AWS variables as GDAL reads them, or the AWS profile files) and go to the library that signs, nowhere else. Signed addresses hold
a signature, so no message and no chained exception shows one.
"""

from __future__ import annotations

import configparser
import contextlib
import email.utils
import functools
import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from imperviouslib.core.errors import AccessError, FetchError, InputError, _, shown
from imperviouslib.core.scenes import Asset

CDSE_ENDPOINT = "https://eodata.dataspace.copernicus.eu"
CDSE_CONNECTIONS = 4
"""Connections a general user may hold at once (CDSE quotas, 2025)."""
_SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_HASHES = {"1620": hashlib.sha3_256, "1220": hashlib.sha256}
_RENEW = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to valid keys and run the same command again."
_KEY_FAULTS = ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "RequestTimeTooSkewed")
"""S3 error codes that no second attempt can mend."""
_FEW = 3
"""Attempts where an answer is definite but servers are known to give it falsely now and then (403, 404)."""
_CHUNK = 1 << 18


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try."""

    tries: int = 6
    """Attempts an object, the first included."""
    wait_s: float = 1.0
    """First wait; each further one is twice as long, with some chance in it."""
    longest_wait_s: float = 60.0
    """Longest wait of our own; a server that asks for more gets it, to ten times this."""
    timeout_s: float = 120.0
    """An attempt in which nothing comes for so long is given up."""


@dataclass(frozen=True)
class S3Settings:
    """How to reach S3, from the environment."""

    endpoint: str | None
    region: str
    path_style: bool
    anonymous: bool


def s3_settings(environment: Mapping[str, str] | None = None) -> S3Settings:
    """Read the AWS variables in GDAL's sense: AWS_S3_ENDPOINT with or without a scheme, AWS_HTTPS, AWS_VIRTUAL_HOSTING.

    >>> s3_settings({"AWS_S3_ENDPOINT": "127.0.0.1:9000", "AWS_HTTPS": "NO"}).endpoint
    'http://127.0.0.1:9000'
    """
    env = os.environ if environment is None else environment

    def yes(name: str, default: bool) -> bool:
        text = env.get(name, "").strip().upper()
        return text not in ("NO", "FALSE", "OFF", "0") if text else default

    endpoint = env.get("AWS_S3_ENDPOINT") or env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    if endpoint and "://" not in endpoint:
        endpoint = f"{'https' if yes('AWS_HTTPS', True) else 'http'}://{endpoint}"
    return S3Settings(
        endpoint.rstrip("/") if endpoint else None,
        env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or _profile(env).get("region") or "default",
        # Own endpoints mostly know buckets by path only; Amazon itself by host.
        path_style=not yes("AWS_VIRTUAL_HOSTING", default=not endpoint),
        anonymous=yes("AWS_NO_SIGN_REQUEST", False),
    )


def is_cdse(hrefs: Iterable[str]) -> bool:
    """Tell whether links lead to the Copernicus Data Space, whose quota counts connections."""
    endpoint = s3_settings().endpoint
    return any(
        "dataspace.copernicus.eu" in (endpoint or CDSE_ENDPOINT if href.startswith("s3://eodata") else href)
        for href in hrefs
    )


def _profile(env: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the chosen profile from the AWS profile files; the credentials file comes before the config file."""
    folder = Path(env.get("HOME") or Path.home()) / ".aws"
    name = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or "default"
    found: dict[str, str] = {}
    for path, section in (
        (env.get("AWS_CONFIG_FILE") or folder / "config", name if name == "default" else f"profile {name}"),
        (env.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials", name),
    ):
        profiles = configparser.RawConfigParser()
        try:
            profiles.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as err:
            # The parser's own message repeats the line at fault, which may hold a key.
            raise AccessError(
                _("File '{}'").format(path),
                found=_("no profile file ({})").format(type(err).__name__),
                expected=_("sections and settings"),
                then=_("Mend it."),
            ) from None
        if profiles.has_section(section):
            found.update(profiles[section])
    return found


def _keys() -> dict[str, str]:
    """Return the keys of the environment, else of the profile files."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        found = {name.lower(): os.environ.get(name, "") for name in _SECRET_VARIABLES}
    else:
        found = {name.lower(): _profile(os.environ).get(name.lower(), "") for name in _SECRET_VARIABLES}
    return {name.removeprefix("aws_"): value for name, value in found.items() if value}


def scrub(text: str) -> str:
    """Take secrets and signatures out of a foreign message, and bring it to one line."""
    for value in _keys().values():
        text = text.replace(value, "***").replace(quote(value, safe=""), "***")
    text = re.sub(r"(?i)((?:x-amz-[a-z-]+|signature|credential|token|sig)=)[^&\s\"']+", r"\1***", text)
    text = re.sub(r"://[^/\s]*@", "://", text)
    return " ".join(text.split())[:200]


def _signed(href: str) -> str:
    """Return an http(s) address by which an S3 object can be had for the next hour."""
    import obstore
    from obstore.store import S3Store

    split, settings = urlsplit(href), s3_settings()
    bucket, key = split.netloc.rpartition("@")[2], unquote(split.path.lstrip("/"))
    endpoint = settings.endpoint or (CDSE_ENDPOINT if bucket.lower() == "eodata" else None)
    by_host = not settings.path_style and endpoint != CDSE_ENDPOINT
    if settings.anonymous:
        host = endpoint or f"https://s3.{settings.region}.amazonaws.com"
        address = host.replace("://", f"://{bucket}.", 1) if by_host else f"{host}/{bucket}"
        return f"{address}/{quote(key)}"
    keys = _keys()
    if "access_key_id" not in keys or "secret_access_key" not in keys:
        raise AccessError(
            _("Bucket '{}'").format(bucket),
            found=_("no keys in the environment"),
            expected=_("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
            then=_RENEW,
        )
    try:
        store = S3Store(
            bucket,
            # With hosts for buckets the library wants the host whole.
            endpoint=endpoint.replace("://", f"://{bucket}.", 1) if endpoint and by_host else endpoint,
            region=settings.region,
            virtual_hosted_style_request=by_host,
            client_options={"allow_http": True},
            **keys,
        )
        return obstore.sign(store, "GET", key, timedelta(hours=1))
    except (obstore.exceptions.BaseError, ValueError) as err:
        raise AccessError(
            _("Object '{}'").format(shown(href)),
            found=scrub(str(err).split("\n", 1)[0]),
            expected=_("settings that can be signed with"),
            then=_RENEW,
        ) from _hidden(err)


class _TryAgainError(Exception):
    """A fault that may pass; carries what was found, how long the server asks to wait, and how many attempts it is worth."""

    def __init__(self, found: str, wait_s: float = 0.0, worth: int = 1_000_000) -> None:
        super().__init__(found)
        self.wait_s, self.worth = wait_s, worth


def _hidden(err: Exception) -> Exception:
    """Return a cause without its text: the library's own may repeat the request."""
    return RuntimeError(type(err).__name__)


@functools.lru_cache(maxsize=1)
def _session():
    """Return the one session of this process: kept connections, and no password of a .netrc file added to signed requests."""
    import requests

    session = requests.Session()
    session.auth = lambda request: request
    return session


class PartsError(Exception):
    """A server does not give parts of an object as asked, or the object changed between two of them: it is to be had whole."""


class Remote:
    """One object of a server: parts of it, or the whole, by one kept connection."""

    def __init__(self, asset: Asset, retry: RetryPolicy, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._asset, self._retry, self._sleep = asset, retry, sleep
        self.size: int | None = None
        """Bytes of the whole object, known after the first part."""
        self.moved = 0
        """Bytes that came, those that were in vain included."""
        self._body = bytearray()
        self._mark: str | None = None
        self._address, self._signed_at = "", 0.0

    def begin(self, count: int) -> bytes:
        """Return the first `count` bytes, or all where there are fewer; `whole` goes on after them. Raises as `part` does."""
        content = self.part(0, count)
        self._body = bytearray(content)
        return content

    def part(self, start: int, stop: int) -> bytes:
        """Return bytes start:stop of the object, fewer only at its end.

        Raises PartsError where the server gives no parts or the object changed since the first one, AccessError and FetchError as `whole` does.
        Size and version are the same over all parts; their content can be checked against nothing.
        """
        got = b""

        def attempt() -> None:
            nonlocal got
            got = self._part(start, stop)

        self._persist(attempt)
        return got

    def _part(self, start: int, stop: int) -> bytes:
        same = {"If-Match": self._mark} if self.size is not None and self._mark else {}
        got = bytearray()
        with self._answer({"Range": f"bytes={start}-{stop - 1}", **same}) as answer:
            if answer.status_code in (200, 412, 416):
                raise PartsError(f"HTTP status {answer.status_code}")
            told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
            if not told:
                raise PartsError("no Content-Range")
            first, last, size = (int(number) for number in told.groups())
            mark = _mark(answer)
            # Not every server heeds If-Match.
            if mark is None or (self.size is not None and (size, mark) != (self.size, self._mark)):
                raise PartsError("no mark of its version, or another")
            if self._asset.size not in (None, size) or (first, last) != (start, min(stop, size) - 1):
                raise PartsError("another size or part than was asked for")
            self._receive(answer, got)
        if len(got) != last + 1 - first:
            raise _TryAgainError(f"{len(got)} of {last + 1 - first} bytes")
        self.size, self._mark = size, mark
        return bytes(got)

    def whole(self) -> bytes:
        """Return the object, whole and as the catalogue describes it.

        Raises AccessError where the keys are refused, and FetchError where the object cannot be had whole.
        """

        def attempt() -> None:
            self._go_on()
            if found := _difference(self._body, self._asset):
                # What came whole and is wrong is not gone on with.
                self._body.clear()
                raise _TryAgainError(found)

        self._persist(attempt)
        self.size = len(self._body)
        return bytes(self._body)

    def _go_on(self) -> None:
        """Get the object, or its rest where some of it came before; raise _TryAgainError where it did not come to its end."""
        done = len(self._body)
        if self.size == done and done:
            return
        more = {"Range": f"bytes={done}-", "If-Range": self._mark} if done and self._mark else {}
        with self._answer(more) as answer:
            goes_on = re.match(rf"bytes {done}-", answer.headers.get("Content-Range", ""))
            if answer.status_code == 200 or not goes_on:
                self._body.clear()
            if answer.status_code == 206 and not goes_on:
                raise _TryAgainError("another part than was asked for")
            if answer.status_code not in (200, 206):
                raise _TryAgainError("an object that has changed meanwhile")
            self._mark = _mark(answer)
            told = answer.headers.get("Content-Length")
            due = len(self._body) + int(told) if told else None
            self._receive(answer, self._body)
        if due is not None and len(self._body) != due:
            raise _TryAgainError(f"{len(self._body)} of {due} bytes")

    @contextlib.contextmanager
    def _answer(self, headers: Mapping[str, str]) -> Iterator[Any]:
        """Ask once; faults of the network, also while the answer is read, become _TryAgainError."""
        import requests
        import urllib3

        # Signatures hold for an hour.
        if not self._address or time.monotonic() - self._signed_at > 1800:
            href = self._asset.href
            self._address = _signed(href) if href.startswith("s3://") else href
            self._signed_at = time.monotonic()
        # Compressed transfer would make lengths and ranges speak of other bytes.
        headers = {"Accept-Encoding": "identity", **headers}
        try:
            with _session().get(
                self._address, headers=headers, timeout=(15, self._retry.timeout_s), stream=True
            ) as answer:
                if answer.status_code not in (200, 206, 412, 416):
                    raise _refusal(answer)
                yield answer
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as err:
            raise _TryAgainError(_fault(err)) from _hidden(err)

    def _receive(self, answer: Any, into: bytearray) -> None:
        for chunk in answer.iter_content(_CHUNK):
            into += chunk
            self.moved += len(chunk)

    def _persist(self, attempt: Callable[[], None]) -> None:
        """Try until it succeeds, as often as patience and the kind of fault allow."""
        retry = self._retry
        for number in range(1, retry.tries + 1):
            try:
                attempt()
                return
            except _TryAgainError as err:
                fault = err
            if number >= min(fault.worth, retry.tries):
                break
            # A refused signature is not sent again.
            self._address = ""
            wait = min(retry.longest_wait_s, retry.wait_s * 2 ** (number - 1)) * random.uniform(0.8, 1.2)
            self._sleep(max(wait, min(fault.wait_s, 10 * retry.longest_wait_s)))
        address = shown(self._asset.href)
        if isinstance(fault, _DeniedError):
            s3 = address.startswith("s3://")
            then = _RENEW if s3 else "Renew the link or the keys and run the same command again."
            raise AccessError(
                _("Object '{}'").format(address), found=str(fault), expected=_("keys that may read it"), then=then
            )
        raise FetchError(
            _("Object '{}'").format(address),
            found=_("{} after {} {}").format(fault, number, "try" if number == 1 else "tries"),
            expected=_expected(self._asset),
            then=_("Run the same command again later."),
        )


def _mark(answer: Any) -> str | None:
    """Return what tells one version of an object from another; only a strong mark does."""
    mark = answer.headers.get("ETag", "")
    return mark if mark.startswith('"') else None


def _fault(err: Exception) -> str:
    """Name a fault of the network in a few words; foreign messages repeat the signed address."""
    import requests

    if isinstance(err, requests.exceptions.SSLError):
        return "no trusted TLS connection"
    if isinstance(err, requests.Timeout) or "timed out" in str(err):
        return "no answer in time"
    return "a broken connection"


def _refusal(answer: Any) -> Exception:
    """Tell what an answer other than 200 means."""
    status = answer.status_code
    code = re.search(rb"<Code>(\w+)</Code>", answer.content[:2000])
    found = f"HTTP status {status}" + (f" ({code[1].decode()})" if code else "")
    if status in (401, 403):
        definite = status == 401 or (code is not None and code[1].decode() in _KEY_FAULTS)
        return _DeniedError(found, worth=1 if definite else _FEW)
    if status in (404, 410):
        return _TryAgainError(found, worth=_FEW)
    return _TryAgainError(found, _asked_wait(answer.headers.get("Retry-After", "")))


class _DeniedError(_TryAgainError):
    """The keys or the link were refused."""


def _asked_wait(text: str) -> float:
    """Return the seconds of a Retry-After header: a number or a date; 0 where it is neither.

    >>> _asked_wait("7"), _asked_wait(""), _asked_wait("soon")
    (7.0, 0.0, 0.0)
    """
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _read_file(href: str) -> bytes:
    path = Path(unquote(urlsplit(href).path) if href.startswith("file://") else href)
    try:
        return path.read_bytes()
    except OSError as err:
        raise FetchError(
            _("File '{}'").format(path),
            found=err.strerror or "no readable file",
            expected=_("a file"),
            then=_("Check the link in the item collection."),
        ) from err


def get_object(asset: Asset, retry: RetryPolicy, *, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Return the bytes of an object, whole and as the catalogue describes them.

    Raises AccessError where the keys are refused, and FetchError where the object cannot be had whole.
    """
    href = asset.href
    scheme, address = urlsplit(href).scheme, shown(href)
    if scheme in ("file", ""):
        content = _read_file(href)
        if found := _difference(content, asset):
            raise FetchError(
                _("File '{}'").format(address),
                found=found,
                expected=_expected(asset),
                then=_("Put the right file in its place."),
            )
        return content
    if scheme not in ("s3", "http", "https"):
        raise InputError(
            _("Link '{}'").format(address),
            found=_("scheme {}://").format(scheme),
            expected=_("s3, http, https, file or a path"),
            then=_("Use another catalogue."),
        )
    return Remote(asset, retry, sleep=sleep).whole()


def is_remote(asset: Asset) -> bool:
    """Tell whether an object lies on a server."""
    return urlsplit(asset.href).scheme in ("s3", "http", "https")


def _expected(asset: Asset) -> str:
    size = f"{asset.size} bytes" if asset.size else "the whole object"
    return f"{size} with checksum {asset.checksum[:12]}..." if asset.checksum else size


def _difference(content: bytes | bytearray, asset: Asset) -> str:
    """Tell how an object differs from what the catalogue says; empty where it does not."""
    if asset.size is not None and len(content) != asset.size:
        return f"{len(content)} bytes"
    if not content:
        return "0 bytes"
    # Catalogues write the checksums of metadata files in forms that no table of multihashes knows; these are left alone.
    if asset.checksum and asset.checksum[:4] in _HASHES:
        digest = _HASHES[asset.checksum[:4]](content).hexdigest()
        if digest != asset.checksum[4:].lower():
            return f"checksum {asset.checksum[:4]}{digest[:8]}..."
    return ""
