"""Read the header of a safetensors file: names and shapes of its tensors, no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

SUFFIX = ".safetensors"
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""Suffixes of PyTorch's own format, which is not loaded: its files can run any program."""

MAX_HEADER = 16 << 20
"""Bytes of the largest header that is read; that of Stable Diffusion XL has 0.4 MB."""


@dataclass(frozen=True)
class WeightsHeader:
    """What the header of a safetensors file says.

    ``shapes`` maps the name of every tensor to its shape; ``metadata`` are the texts that the
    program which wrote the file put there.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def has(self, *prefixes: str) -> bool:
        """Return whether the name of a tensor begins with one of these prefixes."""
        return any(name.startswith(prefixes) for name in self.shapes)


class UnreadableWeights(Exception):
    """A file is not a whole safetensors file; ``cure`` says what to do."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.cure = cure


_STARTS = (
    (
        b"version https://git-lfs",
        "is a Git LFS pointer, not the file itself",
        "Run `git lfs pull` in the folder that was cloned, or download the file itself.",
    ),
    (
        b"PK\x03\x04",
        "is a PyTorch pickle, not a safetensors file",
        "Pickles are not loaded, because they can run any program; get the safetensors file.",
    ),
    (
        b"\x80",
        "is a PyTorch pickle, not a safetensors file",
        "Pickles are not loaded, because they can run any program; get the safetensors file.",
    ),
    (
        b"GGUF",
        "is a GGUF file, not a safetensors file",
        "Quantized weights are not supported; get the safetensors file.",
    ),
    (
        b"<",
        "is a web page, not a safetensors file",
        "Download the file itself, with the page's download button.",
    ),
)
"""What other files begin with, what they are, and the cure."""

_CHECK_DOWNLOAD = "Check that the download is complete."


def read_header(path: Path) -> WeightsHeader:
    """Read the header of a safetensors file; raises UnreadableWeights."""
    try:
        if not path.is_file():
            raise UnreadableWeights("does not exist", "Check the path.")
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise UnreadableWeights(f"cannot be read: {error.strerror}", "Check the path.") from error
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length > path.stat().st_size - 8:
        for begin, reason, cure in _STARTS:
            if start[8:9] != b"{" and start.lstrip().startswith(begin):
                raise UnreadableWeights(reason, cure)
        raise UnreadableWeights("is not a safetensors file, or is incomplete", _CHECK_DOWNLOAD)
    if length > MAX_HEADER:
        message = f"has a header of {length >> 20} MB; this release reads up to {MAX_HEADER >> 20}"
        raise UnreadableWeights(message, "Use a file that was saved by diffusers or a trainer.")
    try:
        with safe_open(str(path), framework="numpy") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            return WeightsHeader(path, shapes, dict(file.metadata() or {}))
    except (OSError, SafetensorError, ValueError) as error:
        raise UnreadableWeights(f"cannot be read: {error}", _CHECK_DOWNLOAD) from error


def weight_count(folder: Path) -> int:
    """Count the numbers in a component's safetensors files, from their headers; 0 without files."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    total = 0
    for file in [file for file in files if ".fp16." not in file.name] or files:
        try:
            total += sum(map(prod, read_header(file).shapes.values()))
        except UnreadableWeights:
            continue  # loading it reports what is wrong
    return total
