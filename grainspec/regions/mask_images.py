"""Masks as images: a folder, a glob or one image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from grainspec.clip.facts import IMAGE_SUFFIXES, ClipFacts
from grainspec.clip.images import open_image, unreadable, upright
from grainspec.clip.numbering import AmbiguousNumbers, glob_of, has_number, number_names
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.expressions import MaskFiles
from grainspec.near_path import near_path
from grainspec.regions.globs import Astray, files_of, is_glob
from grainspec.regions.pixels import Pixels
from grainspec.regular_file import files_in, require_regular

if TYPE_CHECKING:
    from PIL import Image


class ImageMasks:
    """Mask images, by the numbers in their names."""

    facts: ClipFacts | None = None
    uncounted = False
    by_order = ""

    def __init__(self, source: MaskFiles, place: Path, images: Sequence[Path]) -> None:
        self.source = source
        self.place = place
        self.files = numbered(source, images)
        self.numbers: Sequence[int] = sorted(self.files)
        self.pixels = Pixels(source, place)

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"the mask {self.files[number]}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these numbers, with the values 0 and 255."""
        for number in numbers:
            try:
                with open_image(self.files[number]) as opened:
                    kind = opened.format
                    chosen = self.pixels.of(upright(opened), self.title(number), kind)
            except unreadable() as error:
                message = f"{self.title(number)} cannot be read as an image"
                raise fail("G308", message, "Save it again as PNG.", self.source.span) from error
            yield chosen

    def findings(self) -> list[Diagnostic]:
        """What is doubtful about all masks together; raises GrainError for what is wrong."""
        return self.pixels.findings()

    def known(self) -> str:
        """A sentence with the values that could be selected."""
        return self.pixels.known()


def named_files(source: MaskFiles, base: Path) -> list[Path]:
    """The files that a path of masks names; an existing path is not read as a glob.

    Relative paths start at ``base``. Raises GrainError (G304) if the path does not exist.
    """
    place = base / source.path
    try:
        paths = _paths(source.path, base)
    except Astray as error:
        cure = "Name the folder before the first wildcard, such as `../shared/left/*.png`."
        raise fail("G346", f"the masks {place}: {error}", cure, source.span) from error
    except (OSError, ValueError) as error:  # such as a name that is too long
        message = f"{place} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise fail("G304", message, "Check the path.", source.span) from error
    if paths is None:
        message = f"the mask folder {place} does not exist"
        cure = "" if is_glob(source.path) else near_path(place)
        cure = cure or "Check the path. A glob such as `masks/*.png` is also possible."
        raise fail("G304", message, cure, source.span)
    return sorted(paths, key=str)  # as texts: paths compare slowly


def _paths(written: str, base: Path) -> list[Path] | None:
    place = base / written
    if place.is_dir():
        return files_in(place)
    if place.is_file():
        return [place]
    if is_glob(written):
        return files_of(written, base)
    if place.exists():
        require_regular(place)  # it is none: this says what it is
    return None


def image_paths(paths: Iterable[Path]) -> list[Path]:
    """The images with a number in their names."""
    return [
        path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and has_number(path.name)
    ]


def numbered(source: MaskFiles, paths: Sequence[Path]) -> dict[int, Path]:
    """Files by the frame numbers in their names.

    Raises GrainError: G304 if no number is in all names or two files have the same, G322 if several
    numbers could be the frame number.
    """
    paths = [path for path in paths if has_number(path.name)]
    names = [path.name for path in paths]
    pattern = source.path if "*" in source.path else None
    try:
        numbering = number_names(names, pattern) if names else None
    except AmbiguousNumbers as error:
        if not (source.in_order and error.same_order):
            raise fail(
                "G322", error.message, _glob_cure(source, paths[0], error), source.span
            ) from error
        numbering = error.candidates[-1]
    if numbering is None:
        shown = f", such as {names[0]} and {names[-1]}," if names else ""
        message = f"the names{shown} in {source.path} have no frame number in the same place"
        cure = "Name the masks 00000.png, 00001.png, …, or write a glob that matches only these."
        raise fail("G304", message, cure, source.span)
    files: dict[int, Path] = {}
    for index, number in enumerate(numbering.values):
        if number in files:
            raise _same_number(source, files[number], paths[index], numbering.places[index], number)
        files[number] = paths[index]
    return files


def _same_number(
    source: MaskFiles, one: Path, other: Path, place: tuple[int, int], number: int
) -> GrainError:
    message = f"{one.name} and {other.name} are both masks for frame {number}"
    pattern = _beside(source, other, glob_of([other.name], [place]))
    cure = "Write a glob that matches the masks of one object"
    cure += f', such as `masks("{pattern}")`.' if pattern else "."
    return fail("G304", message, cure, source.span)


def _glob_cure(source: MaskFiles, file: Path, error: AmbiguousNumbers) -> str:
    """Globs whose `*` stands for the frame number."""
    patterns = [_beside(source, file, error.glob(candidate)) for candidate in error.candidates]
    shown = " or ".join(f'`masks("{pattern}")`' for pattern in patterns if pattern)
    if not shown:
        return "Name the masks 00000.png, 00001.png, …."
    return f"Write a glob in which `*` stands for the frame number: {shown}."


def _beside(source: MaskFiles, file: Path, pattern: str | None) -> str | None:
    """A glob of file names as a path like the source's, whose folder ``file`` is in."""
    if pattern is None:
        return None
    path = PurePath(source.path)
    folder = path if file.parent.name == path.name else path.parent
    return None if is_glob(folder.as_posix()) else (folder / pattern).as_posix()
