"""Objects whole and unharmed, from S3, http(s) or a local path (obstore, requests).

One GET brings a whole object, which is then checked by size and checksum before anything reads it. Keys come from the environment
(the AWS variables as GDAL reads them, or a profile file) and go to the library that signs, nowhere else.
"""

from __future__ import annotations

import configparser
import functools
import hashlib
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from imperviouslib.core.errors import AccessError, FetchError, InputError, sentence
from imperviouslib.core.scenes import Asset

CDSE_ENDPOINT = "https://eodata.dataspace.copernicus.eu"
CDSE_CONNECTIONS = 4
"""Connections a general user may hold at once (CDSE quotas, 2025)."""
_SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_HASHES = {"1620": hashlib.sha3_256, "1220": hashlib.sha256}
_RENEW = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to valid keys and run the same command again."


@dataclass(frozen=True)
class Patience:
    """How often and how long to try."""

    tries: int = 6
    """Attempts an object, the first included."""
    wait_s: float = 1.0
    """First wait; each further one is twice as long, with some chance in it."""
    longest_wait_s: float = 60.0
    timeout_s: float = 120.0
    """An attempt without an end after this is given up."""


@dataclass(frozen=True)
class S3Settings:
    """How to reach S3, from the environment."""

    endpoint: str | None
    region: str
    path_style: bool
    anonymous: bool


def s3_settings(environment: dict[str, str] | os._Environ = os.environ) -> S3Settings:
    """Read the AWS variables in GDAL's sense: AWS_S3_ENDPOINT with or without a scheme, AWS_HTTPS, AWS_VIRTUAL_HOSTING.

    >>> s3_settings({"AWS_S3_ENDPOINT": "127.0.0.1:9000", "AWS_HTTPS": "NO"}).endpoint
    'http://127.0.0.1:9000'
    """

    def yes(name: str, default: bool) -> bool:
        text = environment.get(name, "").strip().upper()
        return text not in ("NO", "FALSE", "OFF", "0") if text else default

    endpoint = (
        environment.get("AWS_S3_ENDPOINT")
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
    )
    if endpoint and "://" not in endpoint:
        endpoint = f"{'https' if yes('AWS_HTTPS', True) else 'http'}://{endpoint}"
    return S3Settings(
        endpoint.rstrip("/") if endpoint else None,
        environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "default",
        # Own endpoints mostly know buckets by path only; Amazon itself by host.
        path_style=not yes("AWS_VIRTUAL_HOSTING", default=not endpoint),
        anonymous=yes("AWS_NO_SIGN_REQUEST", False),
    )


def _keys() -> dict[str, str]:
    """Return the keys of the environment, else of the profile file."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        found = {name.removeprefix("AWS_").lower(): os.environ.get(name, "") for name in _SECRET_VARIABLES}
        return {name: value for name, value in found.items() if value}
    path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    profiles = configparser.RawConfigParser()
    if path.is_file():
        profiles.read(path, encoding="utf-8")
    profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    section = profiles[profile] if profiles.has_section(profile) else {}
    names = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
    }
    return {short: section[name] for name, short in names.items() if section.get(name)}


def scrub(text: str) -> str:
    """Take secrets and signatures out of a foreign message, and bring it to one line."""
    for value in _keys().values():
        text = text.replace(value, "***")
    text = re.sub(r"(?i)((?:x-amz-[a-z-]+|signature|credential|token|sig)=)[^&\s\"']+", r"\1***", text)
    return " ".join(text.split())[:200]


@functools.lru_cache(maxsize=16)
def _store(bucket: str, settings: S3Settings, timeout_s: float):
    from obstore.store import S3Store

    endpoint = settings.endpoint or (CDSE_ENDPOINT if bucket.lower() == "eodata" else None)
    keys = {} if settings.anonymous else _keys()
    if not settings.anonymous and not keys:
        raise AccessError(
            sentence(
                f"Bucket '{bucket}'",
                "no keys in the environment",
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                _RENEW,
            )
        )
    return S3Store(
        bucket,
        endpoint=endpoint,
        region=settings.region,
        virtual_hosted_style_request=bool(not settings.path_style and endpoint != CDSE_ENDPOINT),
        skip_signature=settings.anonymous,
        client_options={"allow_http": True, "timeout": f"{timeout_s:g}s", "connect_timeout": "15s"},
        # Retries are ours, so that each is counted and a 403 stops the run.
        retry_config={"max_retries": 0, "retry_timeout": _seconds(timeout_s)},
        **keys,
    )


def _seconds(value: float):
    from datetime import timedelta

    return timedelta(seconds=value)


class _TryAgainError(Exception):
    """A fault that may pass; carries what was found and how long the server asks to wait."""

    def __init__(self, found: str, wait_s: float = 0.0) -> None:
        super().__init__(found)
        self.wait_s = wait_s


def _get_s3(href: str, patience: Patience) -> bytes:
    import obstore
    from obstore import exceptions as wrong

    split = urlsplit(href)
    try:
        store = _store(split.netloc, s3_settings(), patience.timeout_s)
        return bytes(obstore.get(store, unquote(split.path.lstrip("/"))).bytes())
    except (wrong.PermissionDeniedError, wrong.UnauthenticatedError) as err:
        raise AccessError(sentence(f"Object '{href}'", "access denied", "keys that may read it", _RENEW)) from _hidden(
            err
        )
    except (FileNotFoundError, wrong.NotFoundError) as err:
        raise _TryAgainError("no such object") from _hidden(err)
    except (wrong.BaseError, OSError) as err:
        raise _TryAgainError(scrub(_reason(str(err)))) from _hidden(err)


def _reason(text: str) -> str:
    """Shorten obstore's message: the part that names the status or the last cause."""
    status = re.search(r"(?i)status(?: code)?:? ?(\d{3})|: (\d{3}) [A-Z]", text)
    if status:
        return f"HTTP status {status[1] or status[2]}"
    causes = re.findall(
        r"source: ([A-Za-z]+)\b|(timed out|connection closed|reset by peer|unexpected EOF|operation timed out)", text
    )
    words = [word for pair in causes for word in pair if word]
    return words[-1] if words else text.split("\n", 1)[0]


def _hidden(err: Exception) -> Exception:
    """Return a cause without its text: the library's own may repeat the request."""
    return RuntimeError(type(err).__name__)


def _get_http(href: str, patience: Patience) -> bytes:
    import requests

    shown = href.split("?", 1)[0]
    try:
        # The environment's proxies hold; keys of a signed link stay out of every message.
        answer = requests.get(href, timeout=(15, patience.timeout_s))
    except requests.RequestException as err:
        raise _TryAgainError(scrub(type(err).__name__)) from _hidden(err)
    if answer.status_code in (401, 403):
        raise AccessError(
            sentence(
                f"Object '{shown}'",
                f"HTTP status {answer.status_code}",
                "a link that may be read",
                "Renew the link or the keys and run the same command again.",
            )
        )
    if answer.status_code != 200:
        wait = answer.headers.get("Retry-After", "")
        raise _TryAgainError(f"HTTP status {answer.status_code}", float(wait) if wait.isdigit() else 0.0)
    told = answer.headers.get("Content-Length")
    if told and not answer.headers.get("Content-Encoding") and int(told) != len(answer.content):
        raise _TryAgainError(f"{len(answer.content)} of {told} bytes")
    return answer.content


def _get_file(href: str, _: Patience) -> bytes:
    path = Path(unquote(urlsplit(href).path) if href.startswith("file://") else href)
    try:
        return path.read_bytes()
    except OSError as err:
        raise FetchError(
            sentence(
                f"File '{path}'",
                err.strerror or "no readable file",
                "a raster",
                "Check the link in the item collection.",
            )
        ) from err


def get_object(asset: Asset, patience: Patience, *, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Return the bytes of an object, whole and as the catalogue describes them.

    Raises AccessError where the keys are refused, which ends a run, and FetchError where the object cannot be had whole.
    """
    href = asset.href
    scheme = urlsplit(href).scheme
    getters = {"s3": _get_s3, "http": _get_http, "https": _get_http, "file": _get_file, "": _get_file}
    if scheme not in getters:
        raise InputError(
            sentence(
                f"Link '{href}'", f"scheme {scheme}://", "s3, http, https, file or a path", "Use another catalogue."
            )
        )
    shown = href.split("?", 1)[0]
    found = ""
    for attempt in range(patience.tries):
        asked_wait = 0.0
        try:
            content = getters[scheme](href, patience)
            found = _difference(content, asset)
            if not found:
                return content
        except _TryAgainError as err:
            found, asked_wait = str(err), err.wait_s
        if attempt + 1 < patience.tries and scheme not in ("file", ""):
            wait = min(patience.longest_wait_s, patience.wait_s * 2**attempt) * random.uniform(0.8, 1.2)
            sleep(max(wait, min(asked_wait, patience.longest_wait_s)))
        elif scheme in ("file", ""):
            break
    raise FetchError(
        sentence(
            f"Object '{shown}'",
            f"{found} after {attempt + 1} tries",
            _expected(asset),
            "Run the same command again later.",
        )
    )


def _expected(asset: Asset) -> str:
    size = f"{asset.size} bytes" if asset.size else "the whole object"
    return f"{size} with checksum {asset.checksum[:12]}..." if asset.checksum else size


def _difference(content: bytes, asset: Asset) -> str:
    """Tell how an object differs from what the catalogue says; empty where it does not."""
    if asset.size is not None and len(content) != asset.size:
        return f"{len(content)} bytes"
    if not content:
        return "0 bytes"
    if asset.checksum and asset.checksum[:4] in _HASHES:
        digest = _HASHES[asset.checksum[:4]](content).hexdigest()
        if digest != asset.checksum[4:].lower():
            return f"checksum {asset.checksum[:4]}{digest[:8]}..."
    return ""
