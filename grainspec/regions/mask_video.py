"""Masks in a video: its frame k is the mask of source frame k."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grainspec.clip.facts import probe
from grainspec.clip.video import BrokenFrame, open_video
from grainspec.diagnostics import GrainError, fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.mask_images import Pixels

if TYPE_CHECKING:
    from PIL import Image


class VideoMasks:
    """The frames of a video as masks, numbered from 0 in the order that a player shows them."""

    def __init__(self, source: MaskFiles, place: Path) -> None:
        self.source = source
        self.place = place
        try:
            facts = probe(place)
        except GrainError as error:
            (finding,) = error.diagnostics
            raise fail("G308", finding.message, finding.cure, source.span) from error
        self.numbers: Sequence[int] = range(facts.frames)

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"frame {number} of the masks {self.place}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these numbers, with the values 0 and 255."""
        import av

        pixels = Pixels(self.source, self.place)
        wanted = set(numbers)
        try:
            with open_video(self.place) as reader:
                for number, frame in enumerate(reader.frames()):
                    if number in wanted:
                        wanted.remove(number)
                        image = reader.picture(frame)
                        if self.source.colour is None and image.mode == "RGB":
                            image = image.convert("L")
                        yield pixels.of(image, self.title(number))
                    if not wanted:
                        break
        except BrokenFrame as error:
            message = f"frame {error.number} of the masks {self.place} cannot be decoded: {error}"
            cure = "Check that a video player can play it to the end."
            raise fail("G308", message, cure, self.source.span) from error
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            message = f"the masks {self.place} cannot be decoded: {reason}"
            cure = "Check that a video player can play it to the end."
            raise fail("G308", message, cure, self.source.span) from error
        if wanted:
            message = f"frame {min(wanted)} of the masks {self.place} cannot be decoded"
            cure = "Check that a video player can play it to the end."
            raise fail("G308", message, cure, self.source.span)
        pixels.check()
