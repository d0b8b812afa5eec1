"""Which frames are edited, and which part of each."""

from __future__ import annotations

from collections.abc import Iterable

from grainspec.testing.broken import Broken
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.grid import crop_box
from grainspec.testing.regions.registry import binding_property

_ROUNDING = 1e-6


@binding_property("frames")
def frames(binding: Binding) -> None:
    """The frames are those from the first to the last one that `frames` names, every `step`-th."""
    layouts = {"regions": binding.regions}
    if binding.bound:
        layouts |= {"edits": binding.bound.edits}
        if binding.bound.uncropped:
            layouts |= {"the uncropped regions": binding.bound.uncropped.regions}
    for title, layout in layouts.items():
        if list(layout.frames) != binding.frames:
            message = f"{title} are of the frames {_listed(layout.frames)}, not of "
            raise Broken("frames", message + _listed(binding.frames))
        if len(layout.bits_FHW) != len(binding.frames):
            message = f"{title} have {len(layout.bits_FHW)} layouts of {len(binding.frames)} frames"
            raise Broken("frames", message)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


@binding_property("crop")
def crop(binding: Binding) -> None:
    """The edited part of a frame is as `crop`, `size` and `fit` say.

    `crop` is limited by the frame. Without `size`, the size is that of the box, rounded. With
    `fit crop` the box is cut around its centre to the aspect of the size; with `fit pad` it is
    scaled to lie within the size, in the centre. Frames and regions have that size.
    """
    video, actual = binding.spec.video, binding.plain.crop
    where = binding.placed
    if video.size is not None and actual.size != (video.size.width, video.size.height):
        asked = f"{video.size.width}x{video.size.height}"
        raise Broken("crop", f"the edited frames are {_size(actual.size)}, not {asked}")
    for name, number, expected in zip(
        ("left", "top", "right", "bottom"), actual.box, where.box, strict=True
    ):
        if abs(number - expected) > _ROUNDING:
            message = f"the {name} side of the edited part is {number:.6g}, not {expected:.6g}"
            raise Broken("crop", message)
    for name, found, ideal in (
        ("width", actual.width, where.inner[0]),
        ("height", actual.height, where.inner[1]),
    ):
        if abs(found - max(1.0, ideal)) > 0.5 + _ROUNDING:
            message = f"the edited part has the {name} {found}, not {ideal:.6g}"
            raise Broken("crop", message)
    if video.size is None:
        _natural_size(binding)
    padding = where.padding(actual.size, (actual.width, actual.height))
    if actual.padding != padding:
        raise Broken("crop", f"the padding is {actual.padding}, not {padding}")
    found_size = binding.regions.bits_FHW.shape[2], binding.regions.bits_FHW.shape[1]
    if found_size != actual.size:
        message = f"the regions are {_size(found_size)}, the frames {_size(actual.size)}"
        raise Broken("crop", message)


def _natural_size(binding: Binding) -> None:
    """Without `size`, the size is that of the crop."""
    left, top, right, bottom = binding.placed.box
    width, height = binding.plain.crop.size
    box = crop_box(binding.spec.video, binding.facts)
    if abs(width - (box[2] - box[0])) > 0.5 or abs(height - (box[3] - box[1])) > 0.5:
        message = f"the edited frames are {width}x{height}; the part that `crop` selects is "
        raise Broken("crop", f"{message}{right - left:.6g}x{bottom - top:.6g}")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
