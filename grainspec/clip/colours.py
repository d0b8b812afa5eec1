"""From a decoded frame to RGB as a player shows it: matrix, range, HDR and transparency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from PIL import Image

_UNSPECIFIED = 2
_FULL_RANGE = 2
_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""From a matrix's number in ITU-T H.273 to swscale's: BT.709, FCC, BT.601, SMPTE 240M, BT.2020."""
_BT601, _BT709 = 5, 1

TRANSFERS = {1: "bt709", 6: "smpte170m", 13: "iec61966-2-1", 16: "smpte2084", 18: "arib-std-b67"}
"""FFmpeg's names of transfer functions: BT.709, BT.601, sRGB, PQ, HLG."""
PRIMARIES = {
    1: "bt709",
    5: "bt470bg",
    6: "smpte170m",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
"""FFmpeg's names of primaries; the last two are P3 with the white points of cinemas and D65."""
_MATRICES_NOT_READ = {
    8: "YCgCo",
    11: "YDzDx",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_TRANSFERS_NOT_READ = {8: "linear", 9: "logarithmic (100:1)", 10: "logarithmic (316:1)"}
HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}


@dataclass(frozen=True, slots=True)
class ColourTags:
    """What a stream says about its colours, in the numbers of ITU-T H.273; 2 is nothing."""

    matrix: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    primaries: int = _UNSPECIFIED
    range: int = 0
    """0 if unknown, 1 for limited (16 to 235), 2 for full."""

    @classmethod
    def of(cls, container: InputContainer) -> ColourTags:
        """Read the tags of a container's first video stream."""
        context = container.streams.video[0].codec_context
        return cls(
            int(context.colorspace),
            int(context.color_trc),
            int(context.color_primaries),
            int(context.color_range),
        )

    @property
    def plain(self) -> bool:
        """Whether the transfer and the primaries are those of ordinary SDR video."""
        from grainspec.clip import hdr

        wide = self.primaries in (hdr.BT2020, hdr.P3_DCI, hdr.P3_D65)
        return self.transfer not in (hdr.PQ, hdr.HLG) and not wide

    @property
    def not_read(self) -> str:
        """What of the tags is not decoded, such as "the matrix YCgCo"; "" if all is."""
        if matrix := _MATRICES_NOT_READ.get(self.matrix):
            return f"the matrix {matrix}"
        if transfer := _TRANSFERS_NOT_READ.get(self.transfer):
            return f"the transfer function {transfer}"
        return ""


def has_alpha(frame: VideoFrame) -> bool:
    """Whether a frame's pixel format has transparency."""
    return frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)


def frame_picture(frame: VideoFrame, tags: ColourTags) -> Image.Image:
    """A frame in 8-bit RGB of BT.709 and full range, or in RGBA if its format has transparency.

    A frame's own tags come before those of the stream. HDR and wide-gamut frames are converted as
    :mod:`grainspec.clip.hdr` says.
    """
    from PIL import Image

    alpha = has_alpha(frame)
    if not tags.plain:
        return _converted(frame, tags, alpha)
    settings = _settings(frame, tags)
    if not alpha:
        image: Image.Image = frame.to_image(**settings)  # type: ignore[no-untyped-call]
        return image
    return Image.fromarray(frame.reformat(format="rgba", **settings).to_ndarray())


def matrix_of(frame: VideoFrame, tags: ColourTags) -> int:
    """The number of swscale for a frame's matrix.

    Without a tag it is what players use: BT.709 from 1280 columns or 720 rows on, below BT.601.
    """
    for matrix in (int(frame.colorspace), tags.matrix):
        if matrix in _MATRIX:
            return _MATRIX[matrix]
    return _BT709 if _is_large(frame) else _BT601


def untagged_matrix(frame: VideoFrame, tags: ColourTags) -> bool:
    """Whether a matrix other than BT.601 is used only because the frame is large."""
    unknown = int(frame.colorspace) not in _MATRIX and tags.matrix not in _MATRIX
    return unknown and _is_large(frame)


def _is_large(frame: VideoFrame) -> bool:
    return frame.width >= 1280 or frame.height >= 720


def _settings(frame: VideoFrame, tags: ColourTags) -> dict[str, Any]:
    """What PyAV's ``reformat`` needs to know; older versions ignore the frame's tags."""
    settings = {"src_colorspace": matrix_of(frame, tags), "dst_colorspace": 0, "dst_color_range": 2}
    tagged = int(frame.color_range) or tags.range
    if frame.format.name.startswith("yuvj") or (not tagged and len(frame.format.components) < 3):
        tagged = _FULL_RANGE  # grey is full unless tagged, YUV is not
    return settings | ({"src_color_range": tagged} if tagged else {})


def _converted(frame: VideoFrame, tags: ColourTags, alpha: bool) -> Image.Image:
    import numpy as np
    from PIL import Image

    from grainspec.clip.hdr import to_sdr

    settings = _settings(frame, tags)
    layout = "rgba64le" if alpha else "rgb48le"
    values = np.asarray(frame.reformat(format=layout, **settings).to_ndarray()).astype(np.uint16)
    picture = to_sdr(values[..., :3], tags.transfer, tags.primaries)
    if alpha:
        picture = np.dstack([picture, (values[..., 3] >> 8).astype(np.uint8)])
    return Image.fromarray(picture)
