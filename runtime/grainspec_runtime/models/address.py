"""What the name of a model means: a path, or a repository of the Hugging Face Hub.

People paste what they have: the address of a page, of a file, of a repository to clone. Each is
read as what it names, or refused with what to write instead.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span

_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com")
_HUB_ID = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_CIVITAI = ("civitai.com", "www.civitai.com", "civitai.green")
_SOFTWARE = "grainspec downloads models from the Hugging Face Hub only"


@dataclass(frozen=True)
class HubAddress:
    """A repository of the Hugging Face Hub, at a revision if one is named."""

    repository: str
    revision: str | None = None


def read_address(name: str, what: str, span: Span | None = None) -> HubAddress | Path:
    """Read the name of a model that is no existing path.

    ``what`` names the model in messages, as “the model”. Raises GrainError (G503) for an address
    that is neither a path nor a repository of the hub, with the cure.

    >>> read_address("https://huggingface.co/owner/name/tree/main", "the model")
    HubAddress(repository='owner/name', revision=None)
    >>> read_address("owner/name@v1", "the model")
    HubAddress(repository='owner/name', revision='v1')
    >>> read_address("file:///models/sd15", "the model").as_posix()
    '/models/sd15'
    """
    text = re.sub(r"^git clone\s+", "", name.strip())
    if match := re.fullmatch(r"git@(hf\.co|huggingface\.co):(.+)", text):
        text = f"https://{match[1]}/{match[2]}"
    if re.match(r"(www\.)?(huggingface\.co|hf\.co|civitai\.com)/", text):
        text = f"https://{text}"
    if "://" in text:
        return _read_url(name, text, what, span)
    if match := re.fullmatch(rf"({_HUB_ID})(?:@([\w./-]+))?", text):
        return HubAddress(match[1], match[2])
    if os.name != "nt" and ("\\" in text or re.match(r"[A-Za-z]:/", text)):
        raise fail("G502", *_windows_path(name, text, what), span)
    return Path(text)


def _windows_path(name: str, text: str, what: str) -> tuple[str, str]:
    """Return message and cure for a Windows path on another system."""
    slashes = text.replace("\\", "/")
    message = f"{what} {name} is a path of Windows, which this system does not have"
    if match := re.match(r"([A-Za-z]):/*(.*)", slashes):
        place = f"/mnt/{match[1].lower()}/{match[2]}"
        return message, f"Write the path that it has here; in WSL that is `{place}`."
    return f"{what} {name} is written with `\\`", f"Write `/`: `{slashes}`."


def _read_url(name: str, text: str, what: str, span: Span | None) -> HubAddress | Path:
    parts = urlsplit(text)
    host, scheme = (parts.hostname or "").lower(), parts.scheme.lower()
    if scheme == "file":
        path = unquote(parts.path)
        return Path(re.sub(r"^/([A-Za-z]:)", r"\1", path) if os.name == "nt" else path)
    if scheme == "hf":
        return _read_hub(name, unquote(f"{parts.netloc}{parts.path}"), what, span)
    if host in _HUB_HOSTS:
        return _read_hub(name, unquote(parts.path), what, span)
    message = f"{what} {name} is a web address; {_SOFTWARE}"
    cure = "Download it, and write the path of its folder or safetensors file."
    if host in _CIVITAI:
        cure = (
            "Download the file in the format SafeTensor, and write its path, such as "
            "`models/name.safetensors`."
        )
    raise fail("G503", message, cure, span)


def _read_hub(name: str, path: str, what: str, span: Span | None) -> HubAddress | Path:
    """Read the path of an address on the hub: ``owner/name``, and a view of it that may follow."""
    words = [word for word in path.removesuffix(".git").split("/") if word]
    if words[:1] == ["models"]:
        words = words[1:]
    if words[:1] == ["datasets"] or words[:1] == ["spaces"]:
        message = f"{name} is one of the hub's {words[0]}, not a model"
        raise fail("G503", message, "Write the id of a model: `owner/name`.", span)
    if len(words) < 2:
        message = f"{name} is not the address of a model"
        raise fail("G503", message, "The id of a model is `owner/name`.", span)
    owner, (repository, _, revision), rest = words[0], words[1].partition("@"), words[2:]
    hub = f"{owner}/{repository}"
    if not re.fullmatch(_HUB_ID, hub):
        message = f"{name} is not the address of a model"
        raise fail("G503", message, "The id of a model is `owner/name`.", span)
    if rest[:1] and rest[0] in ("blob", "resolve", "raw", "tree") and len(rest) > 1:
        revision, rest = ("" if rest[1] == "main" else rest[1]), rest[2:]
    if not rest or rest[0] in ("discussions", "commits", "settings", "tree", "blob"):
        return HubAddress(hub, revision or None)
    raise fail("G503", *_inside(name, hub, "/".join(rest), revision, what), span)


def _inside(name: str, hub: str, file: str, revision: str, what: str) -> tuple[str, str]:
    """Return message and cure for a file or folder inside a repository."""
    if Path(file).suffix in (".safetensors", ".ckpt", ".pt", ".bin", ".json", ".gguf"):
        at = f" --revision {revision}" if revision else ""
        message = f"{what} {name} is a single file of a repository, which is not downloaded"
        cure = f"Download it with `hf download {hub} {file}{at} --local-dir .`, and write `{file}`."
        return message, cure
    message = f"{what} {name} is a folder inside a repository"
    at = f"@{revision}" if revision else ""
    return message, f"Write the repository: `{hub}{at}`."
