"""Masks in a video: its frame k is the mask of source frame k, or of what is shown at its time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grainspec.clip.facts import ClipFacts, probe
from grainspec.clip.video import BrokenFrame, open_video
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.pixels import Pixels

if TYPE_CHECKING:
    from PIL import Image

_LOSSLESS = frozenset({"ffv1", "png", "apng", "huffyuv", "ffvhuff", "rawvideo", "qtrle", "utvideo"})


class VideoMasks:
    """The frames of a video as masks, numbered from 0 in the order that a player shows them."""

    uncounted = True
    by_order = ""

    def __init__(self, source: MaskFiles, place: Path) -> None:
        self.source = source
        self.place = place
        try:
            self.facts: ClipFacts | None = probe(place)
        except GrainError as error:
            (finding,) = error.diagnostics
            raise fail("G308", finding.message, finding.cure, source.span) from error
        self.numbers: Sequence[int] = range(self.facts.frames)
        self.pixels = Pixels(source, place)

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"frame {number} of the masks {self.place}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these numbers, as 0 and 255; a number may be repeated."""
        import av

        times = Counter(numbers)
        try:
            with open_video(self.place) as reader:
                self.pixels.lossy = reader.stream.codec_context.name not in _LOSSLESS
                for number, frame in enumerate(reader.frames()):
                    if number in times:
                        picture = reader.picture(frame)
                        if frame.format.name == "gray":
                            picture = picture.getchannel(0)
                        chosen = self.pixels.of(picture, self.title(number))
                        yield from [chosen] * times.pop(number)
                    if not times:
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
        if times:
            message = f"frame {min(times)} of the masks {self.place} cannot be decoded"
            cure = "Check that a video player can play it to the end."
            raise fail("G308", message, cure, self.source.span)

    def findings(self) -> list[Diagnostic]:
        """What is doubtful about all masks together; raises GrainError for what is wrong."""
        return self.pixels.findings()

    def known(self) -> str:
        """A sentence with the values that could be selected."""
        return self.pixels.known()
