"""Masks of all frames, one of them painted anew: in a copy, so that undo finds them as before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image

from grainspec.clip.facts import IMAGE_SUFFIXES, ClipFacts
from grainspec.clip.images import open_image, unreadable
from grainspec.diagnostics import GrainError, fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.mask_images import ImageMasks
from grainspec.regions.mask_readers import open_reader
from grainspec.regions.tracked.labels import image_name
from grainspec_runtime.studio.painted import PAINTED, painted_mask, save_mask, stored
from grainspec_runtime.studio.readable import Readable

FRAMES = "frames"
"""The name of a folder of repaired masks; later ones are `frames-2`, `frames-3`, …"""


def repaired_masks(
    readable: Readable,
    spec: str,
    region: str,
    frame: int,
    png: str,
    facts: ClipFacts,
    source: MaskFiles,
) -> dict[str, str]:
    """Write the masks of all frames that ``source`` names, with that of one frame painted anew.

    They are a new folder `masks/painted/SPEC/REGION/frames`. Returns what
    :func:`~grainspec_runtime.studio.painted.store_mask` does, and raises GrainError as it does;
    G731 for masks that are not plain images, one for each frame.
    """
    files = _plain_images(source, readable.folder, region, facts)
    mask = painted_mask(region, frame, png, facts)
    folder = readable.folder.joinpath(*PAINTED, spec, region)

    def write(path: Path) -> None:
        partial = path.with_name(f".{path.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            for number, file in files.items():
                if number != frame:
                    name = Path(image_name(number)).with_suffix(file.suffix.lower())
                    _taken_over(file, partial / name, own=file.parent.parent == folder)
            save_mask(mask, partial / image_name(frame))
            partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    return stored(readable, folder, FRAMES, "", write)


def is_of_all_frames(source: MaskFiles, base: Path) -> bool:
    """Whether masks are more than one image that holds for every frame."""
    return (
        Path(source.path).suffix.lower() not in IMAGE_SUFFIXES or not (base / source.path).is_file()
    )


def _plain_images(source: MaskFiles, base: Path, region: str, facts: ClipFacts) -> dict[int, Path]:
    """The images of a region by frame; raises GrainError (G731) if others could not join them."""
    plain = source == MaskFiles(path=source.path, missing=source.missing)
    reader = open_reader(source, base, facts)
    if not plain or not isinstance(reader, ImageMasks):
        raise _cannot(region, "they are not plain images, one for each frame")
    for file in reader.files.values():
        try:
            with open_image(file) as image:
                fits = image.size == (facts.width, facts.height)
        except unreadable() as error:
            raise _cannot(region, f"{file.name} cannot be read") from error
        if not fits:
            raise _cannot(region, f"{file.name} is not of the size of the clip")
        break
    if not _is_black_and_white(reader.files[reader.numbers[0]]):
        raise _cannot(region, "they are not black and white")
    return reader.files


def _is_black_and_white(file: Path) -> bool:
    with open_image(file) as image:
        grey: Image.Image = image.convert("L")
        counts = grey.histogram()
    return not any(counts[1:255])


def _taken_over(file: Path, copy: Path, *, own: bool) -> None:
    """Have a mask in the new folder too; those that the studio wrote need no room again."""
    if own:
        try:
            os.link(file, copy)
            return
        except OSError:  # a file system without links
            pass
    shutil.copyfile(file, copy)


def _cannot(region: str, reason: str) -> GrainError:
    message = f"one frame of the masks of `{region}` cannot be painted anew: {reason}"
    cure = "Correct them in the program that wrote them, or draw a new region."
    return fail("G731", message, cure)
