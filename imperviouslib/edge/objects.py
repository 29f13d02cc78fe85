"""Objects, whole or in parts, from S3, http(s) or a local path (obstore signs, requests downloads).

One GET brings a whole object, which is checked by size and checksum before anything reads it. Parts come by ranged GETs with the
same retries, and are checked to be of one version of the object. Keys come from the environment
(the AWS variables as GDAL reads them, or the AWS profile files) and go only to the library that signs. Signed addresses contain
a signature, so no message and no chained exception shows them.
"""

from __future__ import annotations

import configparser
import contextlib
import email.utils
import errno
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

from imperviouslib.core.errors import AccessError, FetchError, InputError, _, without_secrets
from imperviouslib.core.items import Asset
from imperviouslib.core.retry import RetryPolicy

CDSE_ENDPOINT = "https://eodata.dataspace.copernicus.eu"
CDSE_CONNECTIONS = 4
"""Connections that a general user may have at once (CDSE quotas, 2025)."""
_SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_HASHES = {"1620": hashlib.sha3_256, "1220": hashlib.sha256}
_KEY_FAULTS = ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "RequestTimeTooSkewed")
"""S3 error codes that a further attempt cannot change."""
_FEW = 3
"""Maximum number of attempts after an answer that should be final but that servers sometimes give by mistake (403, 404)."""
_CHUNK = 1 << 18


@dataclass(frozen=True)
class S3Settings:
    """How to reach S3, from the environment."""

    endpoint: str | None
    region: str
    path_style: bool
    anonymous: bool


def s3_settings(environment: Mapping[str, str] | None = None) -> S3Settings:
    """Read the AWS variables as GDAL does: AWS_S3_ENDPOINT with or without a scheme, AWS_HTTPS, AWS_VIRTUAL_HOSTING.

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
        # Servers other than Amazon's mostly find a bucket by the path only, Amazon's by the host.
        path_style=not yes("AWS_VIRTUAL_HOSTING", default=not endpoint),
        anonymous=yes("AWS_NO_SIGN_REQUEST", False),
    )


def is_cdse(hrefs: Iterable[str]) -> bool:
    """Tell whether links lead to the Copernicus Data Space, which limits the number of connections."""
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
            # The parser's own message repeats the wrong line, which may contain a key.
            raise AccessError(
                _("File '{}' is not a valid AWS profile file ({})").format(path, type(err).__name__),
                then=_("Correct the file."),
            ) from None
        if profiles.has_section(section):
            found.update(profiles[section])
    return found


def _keys() -> dict[str, str]:
    """Return the keys of the environment, or else of the profile files."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        found = {name.lower(): os.environ.get(name, "") for name in _SECRET_VARIABLES}
    else:
        found = {name.lower(): _profile(os.environ).get(name.lower(), "") for name in _SECRET_VARIABLES}
    return {name.removeprefix("aws_"): value for name, value in found.items() if value}


def scrub(text: str) -> str:
    """Remove secrets and signatures from a message of another library, and bring it to one line."""
    for value in _keys().values():
        text = text.replace(value, "***").replace(quote(value, safe=""), "***")
    text = re.sub(r"(?i)((?:x-amz-[a-z-]+|signature|credential|token|sig)=)[^&\s\"']+", r"\1***", text)
    text = re.sub(r"://[^/\s]*@", "://", text)
    return " ".join(text.split())[:200]


def _signed(href: str) -> str:
    """Return an http(s) address at which an S3 object can be read for the next hour."""
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
            then=_renew_keys(),
        )
    try:
        store = S3Store(
            bucket,
            # If the bucket is part of the host name, the library needs the whole host name.
            endpoint=endpoint.replace("://", f"://{bucket}.", 1) if endpoint and by_host else endpoint,
            region=settings.region,
            virtual_hosted_style_request=by_host,
            client_options={"allow_http": True},
            **keys,
        )
        return obstore.sign(store, "GET", key, timedelta(hours=1))
    except (obstore.exceptions.BaseError, ValueError) as err:
        raise AccessError(
            _("Object '{}'").format(without_secrets(href)),
            found=scrub(str(err).split("\n", 1)[0]),
            expected=_("settings with which a request can be signed"),
            then=_renew_keys(),
        ) from _hidden(err)


def _renew_keys() -> str:
    return _("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to valid keys and run the same command again.")


class _TryAgainError(Exception):
    """A fault that may be temporary.

    Its text becomes `found` of the final error. wait_s : seconds that the server asks to wait; attempts : most attempts that make sense
    """

    def __init__(self, found: str, wait_s: float = 0.0, attempts: int = 1_000_000) -> None:
        super().__init__(found)
        self.wait_s, self.attempts = wait_s, attempts


def _hidden(err: Exception) -> Exception:
    """Return a cause without its text, which may repeat the signed request."""
    return RuntimeError(type(err).__name__)


@functools.lru_cache(maxsize=1)
def _session():
    """Return the one session of this process: it keeps connections open, and adds no password of a .netrc file to signed requests."""
    import requests

    session = requests.Session()
    session.auth = lambda request: request
    return session


class PartsError(Exception):
    """The server does not support reading parts, or the object changed between two parts: read the whole object instead."""


class Remote:
    """One object of a server, read in parts or whole."""

    def __init__(self, asset: Asset, retry: RetryPolicy, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._asset, self._retry, self._sleep = asset, retry, sleep
        self.size: int | None = None
        """Bytes of the whole object, known after the first part."""
        self.bytes_read = 0
        """Bytes received, including those of failed attempts."""
        self._body = bytearray()
        self._version: str | None = None
        self._address, self._signed_at = "", 0.0

    def begin(self, count: int) -> bytes:
        """Return the first `count` bytes, or all where there are fewer; `whole` continues after them. Raises as `part` does."""
        content = self.part(0, count)
        self._body = bytearray(content)
        return content

    def part(self, start: int, stop: int) -> bytes:
        """Return bytes start:stop of the object, fewer only at its end.

        Raises PartsError if the server gives no parts or the object changed since the first one; AccessError and FetchError as `whole` does.
        All parts are of the same size and version of the object; no checksum is known for the content of a part.
        """
        got = b""

        def attempt() -> None:
            nonlocal got
            got = self._part(start, stop)

        self._try(attempt)
        return got

    def _part(self, start: int, stop: int) -> bytes:
        same = {"If-Match": self._version} if self.size is not None and self._version else {}
        got = bytearray()
        with self._answer({"Range": f"bytes={start}-{stop - 1}", **same}) as answer:
            if answer.status_code in (200, 412, 416):
                raise PartsError(f"HTTP status {answer.status_code}")
            content_range = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
            if not content_range:
                raise PartsError("no Content-Range")
            first, last, size = (int(number) for number in content_range.groups())
            version = _version(answer)
            # Not every server obeys If-Match.
            if version is None or (self.size is not None and (size, version) != (self.size, self._version)):
                raise PartsError("no ETag, or that of another version")
            if self._asset.size not in (None, size) or (first, last) != (start, min(stop, size) - 1):
                raise PartsError("another size or part than requested")
            self._receive(answer, got)
        if len(got) != last + 1 - first:
            raise _TryAgainError(_("{} of {} bytes").format(len(got), last + 1 - first))
        self.size, self._version = size, version
        return bytes(got)

    def whole(self) -> bytes:
        """Return the whole object, checked against size and checksum of the catalogue.

        Raises AccessError if the server refuses the keys, and FetchError if the object cannot be read completely.
        """

        def attempt() -> None:
            self._continue()
            if found := _difference(self._body, self._asset):
                # The object is complete but wrong: the next attempt starts from its beginning.
                self._body.clear()
                raise _TryAgainError(found)

        self._try(attempt)
        self.size = len(self._body)
        return bytes(self._body)

    def _continue(self) -> None:
        """Read the object, or its rest if the beginning was already read; raise _TryAgainError if the end is missing."""
        done = len(self._body)
        if self.size == done and done:
            return
        more = {"Range": f"bytes={done}-", "If-Range": self._version} if done and self._version else {}
        with self._answer(more) as answer:
            continues = re.match(rf"bytes {done}-", answer.headers.get("Content-Range", ""))
            if answer.status_code == 200 or not continues:
                self._body.clear()
            if answer.status_code == 206 and not continues:
                raise _TryAgainError(_("another part than requested"))
            if answer.status_code not in (200, 206):
                raise _TryAgainError(_("an object that changed while it was read"))
            self._version = _version(answer)
            length = answer.headers.get("Content-Length")
            expected = len(self._body) + int(length) if length else None
            self._receive(answer, self._body)
        if expected is not None and len(self._body) != expected:
            raise _TryAgainError(_("{} of {} bytes").format(len(self._body), expected))

    @contextlib.contextmanager
    def _answer(self, headers: Mapping[str, str]) -> Iterator[Any]:
        """Send one request; faults of the network, also while the answer is read, become _TryAgainError."""
        import requests
        import urllib3

        # Signatures are valid for an hour.
        if not self._address or time.monotonic() - self._signed_at > 1800:
            href = self._asset.href
            self._address = _signed(href) if href.startswith("s3://") else href
            self._signed_at = time.monotonic()
        # With compressed transfer, lengths and ranges would count other bytes.
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
            self.bytes_read += len(chunk)

    def _try(self, attempt: Callable[[], None]) -> None:
        """Try until an attempt succeeds, as often as the retry policy and the kind of fault allow."""
        retry = self._retry
        for number in range(1, retry.tries + 1):
            try:
                attempt()
                return
            except _TryAgainError as err:
                fault = err
            if number >= min(fault.attempts, retry.tries):
                break
            # Signed anew: the refused signature is not sent again.
            self._address = ""
            wait = min(retry.longest_wait_s, retry.wait_s * 2 ** (number - 1)) * random.uniform(0.8, 1.2)
            self._sleep(max(wait, min(fault.wait_s, 10 * retry.longest_wait_s)))
        address = without_secrets(self._asset.href)
        if isinstance(fault, _DeniedError):
            raise AccessError(
                _("Object '{}'").format(address),
                found=str(fault),
                expected=_("keys that may read it"),
                then=_renew_keys()
                if address.startswith("s3://")
                else _("Renew the link or the keys and run the same command again."),
            )
        attempts = _("{} after 1 try") if number == 1 else _("{} after {} tries")
        raise FetchError(
            _("Object '{}'").format(address),
            found=attempts.format(fault, number),
            expected=_expected(self._asset),
            then=_("Run the same command again later."),
        )


def _version(answer: Any) -> str | None:
    """Return the ETag, which identifies a version of an object; None if it is weak or missing."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else None


def _fault(err: Exception) -> str:
    """Name a fault of the network in a few words; the text of the library would repeat the signed address."""
    import requests

    if isinstance(err, requests.exceptions.SSLError):
        return _("no trusted TLS connection")
    if isinstance(err, requests.Timeout) or "timed out" in str(err):
        return _("no answer in time")
    return _("a broken connection")


def _refusal(answer: Any) -> Exception:
    """Return the fault that an answer without content means."""
    status = answer.status_code
    code = re.search(rb"<Code>(\w+)</Code>", answer.content[:2000])
    found = f"HTTP status {status}" + (f" ({code[1].decode()})" if code else "")
    if status in (401, 403):
        final = status == 401 or (code is not None and code[1].decode() in _KEY_FAULTS)
        return _DeniedError(found, attempts=1 if final else _FEW)
    if status in (404, 410):
        return _TryAgainError(found, attempts=_FEW)
    return _TryAgainError(found, _asked_wait(answer.headers.get("Retry-After", "")))


class _DeniedError(_TryAgainError):
    """The server refused the keys or the link."""


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
        # A device, such as /dev/zero, may have no end.
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, _("a folder or a device"))
        return path.read_bytes()
    except (OSError, ValueError) as err:
        raise FetchError(
            _("File '{}'").format(path),
            found=getattr(err, "strerror", None) or _("no readable file"),
            expected=_("a file that can be read"),
            then=_("Check the link in the item collection."),
        ) from err


def get_object(asset: Asset, retry: RetryPolicy, *, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Return the bytes of a whole object, checked against size and checksum of the catalogue.

    Raises AccessError if the server refuses the keys, and FetchError if the object cannot be read completely.
    """
    href = asset.href
    scheme, address = urlsplit(href).scheme, without_secrets(href)
    if scheme in ("file", ""):
        content = _read_file(href)
        if found := _difference(content, asset):
            raise FetchError(
                _("File '{}'").format(address),
                found=found,
                expected=_expected(asset),
                then=_("Replace it by the right file."),
            )
        return content
    if scheme not in ("s3", "http", "https"):
        raise InputError(
            _("Link '{}'").format(address),
            found=_("scheme {}://").format(scheme),
            expected=_("s3, http, https, file, or a path"),
            then=_("Use another catalogue."),
        )
    return Remote(asset, retry, sleep=sleep).whole()


def is_remote(asset: Asset) -> bool:
    """Tell whether an object lies on a server."""
    return urlsplit(asset.href).scheme in ("s3", "http", "https")


def _expected(asset: Asset) -> str:
    size = _("{} bytes").format(asset.size) if asset.size else _("the whole object")
    return _("{} with checksum {}...").format(size, asset.checksum[:12]) if asset.checksum else size


def _difference(content: bytes | bytearray, asset: Asset) -> str:
    """Describe how an object differs from the size and checksum of the catalogue; empty if it agrees."""
    if not content or (asset.size is not None and len(content) != asset.size):
        return _("{} bytes").format(len(content))
    # Catalogues write the checksums of metadata files in forms that no table of multihashes has; these are not compared.
    if asset.checksum and asset.checksum[:4] in _HASHES:
        digest = _HASHES[asset.checksum[:4]](content).hexdigest()
        if digest != asset.checksum[4:].lower():
            return _("checksum {}...").format(asset.checksum[:4] + digest[:8])
    return ""
