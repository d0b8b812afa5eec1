"""URLs as text: their parts, and how they are shown, without credentials."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

_USER = re.compile(r"(?<=://)[^/@\s]*(?:@[^/@\s]*)*@")
_QUERY = re.compile(r"(https?://[^\s?'\"]*\?)[^\s'\"<>)\]]+", re.IGNORECASE)
_FILE = re.compile(r"^file://(?:localhost)?/", re.IGNORECASE)
_WEB = ("http", "https")


def is_url(place: str) -> bool:
    """Return whether a place is a URL, such as ``s3://bucket/clips``, rather than a path.

    >>> is_url("s3://bucket/a.mp4"), is_url("clips/a.mp4")
    (True, False)
    """
    return "://" in place


def without_file_protocol(place: str) -> str:
    """Return the path of a ``file:`` URL, which is of this machine; another place as it is.

    >>> without_file_protocol("file:///clips/a.mp4"), without_file_protocol("s3://bucket/a.mp4")
    ('/clips/a.mp4', 's3://bucket/a.mp4')
    """
    return _FILE.sub("/", place, count=1)


def protocol_of(url: str) -> str:
    """Return the protocol of a URL, in lower case.

    >>> protocol_of("s3://bucket/a.mp4")
    's3'
    """
    return url.partition("://")[0].lower()


def joined(url: str, *parts: str) -> str:
    """Append parts to a URL.

    >>> joined("s3://bucket/out/", "runs", "a")
    's3://bucket/out/runs/a'
    >>> joined("file://", "clips/a.mp4")
    'file:///clips/a.mp4'
    """
    start = url.rstrip("/")
    return "/".join([f"{start}//" if start.endswith(":") else start, *parts])


def parent_of(url: str) -> str:
    """Return the URL of the folder of a file.

    >>> parent_of("https://host/clips/edit.grain?signature=2"), parent_of("s3://bucket/a.grain")
    ('https://host/clips', 's3://bucket')
    """
    start, path = _split(url)
    return f"{start}{path.rpartition('/')[0]}"


def path_of(url: str) -> PurePosixPath:
    """Return the path of a URL below its host or bucket, without a query.

    >>> str(path_of("sftp://user:secret@host/clips/a.mp4")), path_of("https://host/a.mp4?b=c").name
    ('clips/a.mp4', 'a.mp4')
    """
    return PurePosixPath(_split(url)[1].strip("/"))


def root_of(url: str) -> str:
    """Return the URL of a host or bucket.

    >>> root_of("sftp://user@host/clips/a.mp4")
    'sftp://user@host'
    """
    return _split(url)[0]


def shown(url: str) -> str:
    """Return a URL without what may be a secret in it: a user, a password, a signature.

    >>> shown("sftp://me:secret@host/a.mp4"), shown("https://host/a.mp4?X-Amz-Signature=2f")
    ('sftp://host/a.mp4', 'https://host/a.mp4?…')
    """
    return without_secrets(url)


def without_secrets(text: str) -> str:
    """Return a text in which URLs have neither users and passwords nor the values of a query.

    >>> without_secrets("cannot reach ftp://me:a@b@host/x, nor https://host/y?key=2")
    'cannot reach ftp://host/x, nor https://host/y?…'
    """
    return _QUERY.sub(r"\1…", _USER.sub("", text))


def has_credentials(url: str) -> bool:
    """Return whether a user, a password or a query is part of a URL.

    >>> has_credentials("sftp://me:secret@host/a.mp4"), has_credentials("s3://bucket/a.mp4")
    (True, False)
    """
    return shown(url) != url


def _split(url: str) -> tuple[str, str]:
    """Return a URL up to its path, and its path."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme.lower() in _WEB:
        path = urlsplit(url).path.removeprefix("/")
    return f"{scheme}://{host}", slash + path
