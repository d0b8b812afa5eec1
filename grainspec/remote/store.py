"""Open the store of a URL, and try again after faults.

Credentials and endpoints are fsspec's business: its configuration files and environment variables,
and those of the library behind a protocol. Nothing of them is read or logged here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from grainspec.diagnostics import GrainError, fail
from grainspec.remote import google
from grainspec.remote.address import protocol_of, shown, without_secrets

T = TypeVar("T")

TRIES = 4
FIRST_PAUSE = 0.5
"""Seconds before the second try; each further pause is twice as long."""
SILENCE = 60.0
"""Seconds without any data after which a connection counts as cut."""
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "memory"})
"""Protocols by which an object becomes visible when all of it has arrived."""
_READ_ONLY = frozenset({"http", "https"})
EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("sftp", "ssh"), "sftp"),
    **dict.fromkeys(_READ_ONLY, "http"),
}
"""The extra of grainspec that has the packages of a protocol."""
_FOR_NOTHING = (PermissionError, ImportError, NotImplementedError, TypeError)
"""Errors that another try does not cure."""
_REFUSED = {"AuthenticationException", "BadHostKeyException", "NoCredentialsError"}
"""Names of libraries' own errors of that kind."""

Act = Callable[[Any, str], T]
"""Gets a file system of fsspec, and a path in it."""


def tried(url: str, what: str, act: Act[T]) -> T:
    """Do something in the store of a URL, again after a pause if it fails.

    ``what`` is the participle for messages, ``read`` or ``written``. Raises GrainError: G746 after
    the last try, G757 if the package of the protocol is missing.
    """
    pause = FIRST_PAUSE
    for left in reversed(range(TRIES)):
        kind = None
        try:
            fs, path = opened(url)
            kind = type(fs)
            return act(fs, path)
        except GrainError:
            raise
        except Exception as error:
            lasts = _is_lasting(error) or (is_google(url) and google.has_been_retried(error))
            if not left or lasts:
                why = reason(error)
                if what == "written" and is_missing(error):
                    why = "there is no such bucket or folder"
                raise _failed(url, what, why) from error
        if kind is not None:
            kind.clear_instance_cache()  # a connection that was cut is not used again
        time.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable")


def opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it.

    Raises GrainError (G757) if a package is missing, and what the library raises if the store
    cannot be reached.
    """
    protocol = protocol_of(url)
    try:
        import fsspec

        fsspec.get_filesystem_class(protocol)
        options = _options(protocol, fsspec.config.conf.get(protocol, {}))
    except (ImportError, ValueError) as error:
        raise _missing(protocol, error) from error
    if is_google(url):
        google.log_nothing()
    fs, path = fsspec.core.url_to_fs(url, **options)
    if hasattr(fs, "ftp"):  # SFTP, which else waits without end
        fs.ftp.get_channel().settimeout(SILENCE)
    return fs, path


def check_writable(url: str) -> None:
    """Raise GrainError if nothing can be written behind a URL: G758, or G757 without a package."""
    protocol = protocol_of(url)
    if protocol in _READ_ONLY:
        message = f"nothing can be written to {shown(url)}: `{protocol}://` is for reading only"
        cure = "Write to a folder, or to a URL such as `s3://bucket/folder`."
        raise fail("G758", message, cure)
    try:
        import fsspec

        fsspec.get_filesystem_class(protocol)
    except (ImportError, ValueError) as error:
        raise _missing(protocol, error) from error


def check_lasting(url: str) -> None:
    """Raise GrainError if results behind a URL would not outlast this process, or not get there.

    G757 and G758, as :func:`check_writable`; G746 if there are no credentials at all.
    """
    check_writable(url)
    if protocol_of(url) == "memory":
        message = f"what is in {shown(url)} would be lost with this process, whose memory it is"
        raise fail("G758", message, "Write to a folder, or to a URL such as `s3://bucket/folder`.")
    if is_google(url):
        import fsspec

        configured = {**fsspec.config.conf.get("gcs", {}), **fsspec.config.conf.get("gs", {})}
        if why := google.missing_credentials(configured):
            raise _failed(url, "written", why)


def is_google(url: str) -> bool:
    """Return whether a URL is of Google's store."""
    return protocol_of(url) in google.PROTOCOLS


def _failed(url: str, what: str, why: str) -> GrainError:
    message = f"{shown(url)} cannot be {what}: {why}"
    cure = "Check the address and your credentials, then give the command again."
    return fail("G746", message, cure)


def _options(protocol: str, configured: Mapping[str, Any]) -> dict[str, Any]:
    """Return time limits, where neither the library nor the user's configuration has any."""
    options: dict[str, Any] = {}
    if protocol in ("sftp", "ssh"):
        options = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), SILENCE)
    elif protocol in ("http", "https", "gs", "gcs"):
        import aiohttp

        # aiohttp's own limit is for a whole transfer, which may take longer.
        limit = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
        name = "client_kwargs" if protocol in _READ_ONLY else "session_kwargs"
        options = {name: {"timeout": limit}}
    return {name: value for name, value in options.items() if name not in configured}


def _missing(protocol: str, error: Exception) -> GrainError:
    extra = EXTRAS.get(protocol)
    if extra is None:
        known = ", ".join(f"`{name}://`" for name in ("s3", "gs", "sftp", "https"))
        cure = f"Use {known}, or install what fsspec needs for it."
        return fail("G757", f"`{protocol}://` cannot be opened: {reason(error)}", cure)
    message = f"`{protocol}://` cannot be opened: a package that it requires is not installed"
    return fail("G757", message, f"Install it with `pip install 'grainspec[{extra}]'`.")


def is_missing(error: BaseException) -> bool:
    """Return whether an error says that there is no such file, rather than that nobody answered."""
    if not isinstance(error, FileNotFoundError):
        return False
    # Of HTTP, fsspec says so for any failure: what failed is the cause.
    cause = error.__cause__
    status = getattr(cause, "status", None)
    if isinstance(status, int) and status:
        return status in (404, 410)
    return not (
        isinstance(cause, OSError) or type(cause).__module__.partition(".")[0] == "aiohttp"
    ) or isinstance(cause, FileNotFoundError)


def _is_lasting(error: BaseException) -> bool:
    """Return whether another try would fail as well."""
    cause = error.__cause__ or error
    status = str(getattr(cause, "status", None) or getattr(cause, "code", None))
    return (
        is_missing(error)
        or isinstance(error, _FOR_NOTHING)
        or type(error).__name__ in _REFUSED
        or status in ("401", "403")
        or (type(error) is OSError and str(error).startswith("Forbidden"))  # by gcsfs
    )


def reason(error: BaseException) -> str:
    """Return one line about an error of a library, without credentials."""
    if isinstance(error, FileNotFoundError) and is_missing(error) and "there is" not in str(error):
        return "there is no such file"
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    first, *_ = (str(error) or type(error).__name__).splitlines() or [""]
    return without_secrets(first)[:200]
