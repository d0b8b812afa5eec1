"""The reader of masks at a path: images, a video, arrays, or what a labelling tool wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.expressions import MaskFiles
from grainspec.near_path import BESIDE_URL, FROM_URL, near_path, url_of
from grainspec.regions.mask_formats import refuse_unread

if TYPE_CHECKING:
    from PIL import Image

VIDEO_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm"})
ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
COCO_SUFFIXES = frozenset({".json"})
CVAT_SUFFIXES = frozenset({".xml"})

_CHOICES = ("threshold", "index", "colour", "label", "alpha", "array")


class MaskReader(Protocol):
    """Reader of one kind of mask file; masks are identified by their numbers."""

    place: Path
    facts: ClipFacts | None
    """The rate and count of a video."""
    uncounted: bool
    """Whether masks have no numbers of their own, as in a video or an array."""
    by_order: str
    """Why masks that could have numbers are numbered by their order; empty if they are not."""

    @property
    def numbers(self) -> Sequence[int]:
        """The numbers of the existing masks, in ascending order."""

    def title(self, number: int) -> str:
        """The name of a mask in messages."""

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these ascending numbers, as 8-bit grey images of 0 and 255.

        They keep the size of the files. Raises GrainError (G308) for masks that cannot be read.
        """

    def findings(self) -> list[Diagnostic]:
        """What is doubtful about the masks that were read; raises GrainError for what is wrong."""

    def known(self) -> str:
        """A sentence with the values that could be selected; empty if that is not known."""


def open_reader(source: MaskFiles, base: Path, facts: ClipFacts) -> MaskReader:
    """The reader for a path; NumPy is imported only by readers that need it.

    Raises GrainError: G304 if there is nothing to read, G323 for a format that is not read, G205
    for an option that does not apply, and what the readers raise.
    """
    place = base / source.path
    suffix = place.suffix.lower()
    try:
        is_folder, is_file = place.is_dir(), place.is_file()
    except (OSError, ValueError):  # such as a name that is too long
        is_folder = is_file = False
    if is_file:
        refuse_unread(source, place)
    elif not is_folder and (url := url_of(place)):
        raise fail("G304", f"the masks {url} {FROM_URL}", BESIDE_URL, source.span)
    read = VIDEO_SUFFIXES | ARRAY_SUFFIXES | COCO_SUFFIXES | CVAT_SUFFIXES
    is_glob = not is_file and any(sign in source.path for sign in "*?[")
    if is_folder or is_glob or suffix not in read:
        return _open_folder(source, base, facts)
    if not is_file:
        fault = "is not a regular file" if os.path.exists(place) else "does not exist"
        cure = near_path(place) if fault == "does not exist" else ""
        message = f"the mask file {place} {fault}"
        raise fail("G304", message, cure or "Check the path.", source.span)
    if suffix in VIDEO_SUFFIXES:
        from grainspec.regions.mask_video import VideoMasks

        _refuse_options(source, "a video", ("threshold", "index", "colour"))
        return VideoMasks(source, place)
    if suffix in ARRAY_SUFFIXES:
        from grainspec.regions.mask_arrays import ArrayMasks

        member = ("array",) if suffix == ".npz" else ()
        _refuse_options(source, f"an `{suffix}` file", ("threshold", "index", *member))
        return ArrayMasks(source, place, (facts.width, facts.height))
    from grainspec.regions.mask_labels import LabelMasks

    kind = "CVAT XML" if suffix in CVAT_SUFFIXES else "COCO JSON"
    _refuse_options(source, kind, ("index", "label"))
    return LabelMasks.of_file(source, place, facts)


def _open_folder(source: MaskFiles, base: Path, facts: ClipFacts) -> MaskReader:
    """The reader for the files of a folder or a glob: images, else arrays, else labels."""
    from grainspec.regions.mask_images import ImageMasks, image_paths, named_files, numbered

    files = named_files(source, base)
    images = image_paths(files)
    if images and not _has_labels_beside(images, files):
        _refuse_options(source, "images", ("threshold", "index", "colour", "alpha"))
        return ImageMasks(source, base / source.path, images)
    kinds = {path.suffix.lower() for path in files}
    if ".npy" in kinds:
        from grainspec.regions.mask_arrays import ArrayFiles

        _refuse_options(source, "`.npy` files", ("threshold", "index"))
        arrays = [path for path in files if path.suffix.lower() == ".npy"]
        size = facts.width, facts.height
        return ArrayFiles(source, base / source.path, size, numbered(source, arrays))
    if kinds & {".json", ".txt"}:
        from grainspec.regions.mask_labels import LabelMasks

        _refuse_options(source, "LabelMe or YOLO files", ("index", "label"))
        return LabelMasks.of_folder(source, base / source.path, files, facts)
    if documents := [path for path in files if path.suffix.lower() in CVAT_SUFFIXES]:
        return _only_document(source, documents, facts)
    for path in files:
        refuse_unread(source, path)
    message = f"{base / source.path} contains no images with a frame number in their names"
    raise fail("G304", message, "Name the masks 00000.png, 00001.png, ….", source.span)


def _only_document(source: MaskFiles, paths: Sequence[Path], facts: ClipFacts) -> MaskReader:
    """The reader of the only XML document of a folder; several are those of Pascal VOC, if any."""
    from grainspec.regions.mask_labels import LabelMasks

    _refuse_options(source, "CVAT XML", ("index", "label"))
    reader = LabelMasks.of_file(source, paths[0], facts)
    if len(paths) > 1:
        message = f"{source.path} contains {len(paths)} XML documents"
        cure = f"Name one of them, such as {paths[0].name}."
        raise fail("G304", message, cure, source.span)
    return reader


def _has_labels_beside(images: Sequence[Path], files: Sequence[Path]) -> bool:
    """Whether the images are pictures that LabelMe's documents of the same names lie beside."""
    stems = {path.stem for path in images}
    beside = (path for path in files if path.suffix.lower() == ".json" and path.stem in stems)
    first = next(beside, None)
    if first is None:
        return False
    from grainspec.regions.mask_labels import has_labelme

    return has_labelme(first)


def _refuse_options(source: MaskFiles, kind: str, allowed: Sequence[str]) -> None:
    for option in _CHOICES:
        if option in allowed or getattr(source, option) == MaskFiles.model_fields[option].default:
            continue
        known = ", ".join(f"`{name}`" for name in allowed)
        message = f"`{option}` does not apply to masks in {kind}"
        cure = f"Options for {kind}: {known}."
        raise fail("G205", message, cure, source.span_of(option))
