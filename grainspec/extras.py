"""The extras of grainspec that install the packages which only some commands need."""

from __future__ import annotations

from collections.abc import Mapping

_USUAL = "runtime"
_MODULES = {
    "control": "controlnet_aux timm",
    "cuda": "xformers",
    "testing": "hypothesis",
    "cluster": "fsspec grpc pyarrow ray",
    "s3": "aiobotocore boto3 botocore s3fs",
    "gcs": "gcsfs",
    "sftp": "paramiko",
    "http": "aiohttp",
    "editor": "lsprotocol pygls",
    "studio": "anyio starlette uvicorn websockets",
}
"""The top-level modules that an extra installs; `runtime` has those that are not here."""

EXTRAS: Mapping[str, str] = {
    module: extra for extra, modules in _MODULES.items() for module in modules.split()
}
"""The extra that installs a top-level module. For URLs, the one of the protocol is named (G757)."""


def install_cure(module: str) -> str:
    """Return the sentence that says how to install a module.

    >>> install_cure("ray")
    "Install it with `pip install 'grainspec[cluster]'`."
    """
    return f"Install it with `pip install 'grainspec[{EXTRAS.get(module, _USUAL)}]'`."
