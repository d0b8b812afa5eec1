"""Masks that are not black and white are reported with what they contain; those that are, are not."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ClipFolder
from mask_sources import cured, findings, refused, region, warned
from PIL import Image, ImageFilter

RED, GREEN = (250, 50, 83), (102, 255, 102)


@pytest.fixture
def big(tmp_path: Path) -> ClipFolder:
    """A clip that is large enough for edges to be a small part of it."""
    return ClipFolder(tmp_path, frames=3, size=(160, 120))


@pytest.fixture
def objects(big: ClipFolder) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two objects that move."""
    one = [big.mask(20 + 4 * i, 20, 60 + 4 * i, 90) for i in range(3)]
    other = [big.mask(90, 30 + 3 * i, 140, 80 + 3 * i) for i in range(3)]
    return one, other


def save(clip: ClipFolder, images: list[Image.Image], suffix: str = "png", **how: object) -> None:
    (clip.root / "m").mkdir(exist_ok=True)
    for number, image in enumerate(images):
        image.save(clip.root / "m" / f"{number:05}.{suffix}", **how)


def greys(one: list[np.ndarray], other: list[np.ndarray], *values: int) -> list[Image.Image]:
    """Grey images: the background's value, that of one object, that of the other."""
    ground, first, second = values
    kind = np.uint16 if max(values) > 255 else np.uint8
    pictures = zip(one, other, strict=True)
    return [
        Image.fromarray(np.where(a, first, np.where(b, second, ground)).astype(kind))
        for a, b in pictures
    ]


def coloured(one: list[np.ndarray], other: list[np.ndarray]) -> list[Image.Image]:
    pictures = []
    for a, b in zip(one, other, strict=True):
        pixels = np.zeros((*a.shape, 3), np.uint8)
        pixels[a], pixels[b] = RED, GREEN
        pictures.append(Image.fromarray(pixels))
    return pictures


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ((0, 1, 2), 1),
        ((0, 7, 200), 7),
        ((0, 1, 255), 1),  # 255 is the border that is left out, in VOC and DAVIS
        ((0, 100, 255), 100),
        ((0, 128, 255), 128),
        ((0, 254, 255), 254),
        ((0, 255, 254), 254),
        ((0, 240, 255), 240),
        ((200, 130, 255), 130),
        ((0, 1000, 2000), 1000),
        ((0, 300, 65535), 300),
    ],
)
def test_values_of_several_objects(
    big: ClipFolder,
    objects: tuple[list[np.ndarray], list[np.ndarray]],
    values: tuple[int, int, int],
    index: int,
) -> None:
    save(big, greys(*objects, *values))
    finding = refused(big, 'masks("m")')
    assert finding.code == "G320"
    assert all(str(value) in finding.message for value in values)
    first = cured('masks("m")', finding)[0]
    assert first == f'masks("m", index {index})'
    chosen = values.index(index)
    expected = [~(a | b) for a, b in zip(*objects, strict=True)] if chosen == 0 else None
    assert (region(big, first) == (expected or objects[chosen - 1])).all()
    for source in cured('masks("m")', finding):
        region(big, source)


def test_an_object_within_a_line_of_white(big: ClipFolder) -> None:
    """VOC and DAVIS leave out a border of 255 around each object."""
    inside, outside = big.mask(40, 30, 90, 80), big.mask(37, 27, 93, 83)
    save(big, greys([inside] * 3, [outside] * 3, 0, 1, 255))
    finding = refused(big, 'masks("m")')
    assert (finding.code, "0, 1 and 255" in finding.message) == ("G320", True)
    assert (region(big, cured('masks("m")', finding)[0]) == inside).all()


@pytest.mark.parametrize("blur", [0.6, 1.5])
def test_masks_with_smooth_edges_are_not_labels(big: ClipFolder, blur: float) -> None:
    mask = Image.fromarray(big.mask(40, 30, 110, 90).astype(np.uint8) * 255)
    save(big, [mask.filter(ImageFilter.GaussianBlur(blur))] * 3)
    assert findings(big, 'masks("m")') == []


def test_compressed_masks_that_were_saved_as_png_are_not_labels(big: ClipFolder) -> None:
    pictures = []
    for quality in (40, 75, 92):
        buffer = io.BytesIO()
        mask = big.mask(40, 30, 110, 90).astype(np.uint8) * 255
        Image.fromarray(mask).save(buffer, "JPEG", quality=quality)
        pictures.append(Image.open(buffer).copy())
    save(big, pictures)
    assert findings(big, 'masks("m")') == []


def test_ids_in_arrays(big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    one, other = map(np.stack, objects)
    for kind in (np.uint8, np.int64, np.uint16):
        np.save(big.root / "m.npy", (one + 2 * other).astype(kind))
        finding = refused(big, 'masks("m.npy")')
        assert (finding.code, "0, 1 and 2" in finding.message) == ("G320", True)
        (source,) = cured('masks("m.npy")', finding)
        assert (region(big, source) == one).all()
    np.save(big.root / "m.npy", one.astype(np.int64) - other)
    assert "-1, 0 and 1" in refused(big, 'masks("m.npy")').message
    assert "0, 1 and 2" in refused_index(big, one, other)


def refused_index(clip: ClipFolder, one: np.ndarray, other: np.ndarray) -> str:
    np.save(clip.root / "m.npy", one + 2 * other)
    finding = refused(clip, 'masks("m.npy", index 5)')
    assert finding.code == "G307"
    return finding.cure


def test_colours_are_named(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    save(big, coloured(*objects))
    finding = refused(big, 'masks("m")')
    assert finding.code == "G320"
    assert "`#000000`, `#66ff66` and `#fa3253`" in finding.message.replace(
        "`#fa3253` and `#66ff66`", "`#66ff66` and `#fa3253`"
    )
    (source,) = cured('masks("m")', finding)
    chosen = objects["#66ff66" in source]
    assert (region(big, source) == chosen).all()
    assert region(big, 'masks("m", threshold 30%)').any()


def test_one_colour_on_black_is_a_colour_too(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    one, _ = objects
    save(big, coloured(one, [mask & False for mask in one]))
    (source,) = cured('masks("m")', refused(big, 'masks("m")'))
    assert (region(big, source) == one).all()


@pytest.mark.parametrize(
    "palette", [[0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 0, 0, 90, 90, 90, 255, 255, 255]]
)
def test_palettes_are_selected_by_entry(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]], palette: list[int]
) -> None:
    images = greys(*objects, 0, 1, 2)
    for image in images:
        image.putpalette(palette)
    save(big, images)
    finding = refused(big, 'masks("m")')
    assert finding.code == "G320"
    source = cured('masks("m")', finding)[0]
    assert source == 'masks("m", index 1)'
    assert (region(big, source) == objects[0]).all()


@pytest.mark.parametrize("colour", [(255, 255, 255), (128, 0, 0)])
def test_palette_entries_of_one_colour(
    big: ClipFolder,
    objects: tuple[list[np.ndarray], list[np.ndarray]],
    colour: tuple[int, int, int],
) -> None:
    images = greys(*objects, 0, 1, 2)
    for image in images:
        image.putpalette([0, 0, 0, *colour, *colour])
    save(big, images)
    finding = refused(big, 'masks("m")')
    assert (finding.code, "`index 1` and `index 2`" in finding.message) == ("G320", True)
    entry, both = cured('masks("m")', finding)
    assert (region(big, entry) == objects[1]).all()
    assert (region(big, both) == np.add(*objects)).all()


def test_palettes_whose_entries_change_places(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    images = [*greys(*objects, 0, 1, 2)[:2], greys(*objects, 0, 2, 1)[2]]
    for image, (one, other) in zip(images, [(RED, GREEN), (RED, GREEN), (GREEN, RED)], strict=True):
        image.putpalette([0, 0, 0, *one, *other])
    save(big, images)
    finding = refused(big, 'masks("m", index 1)')
    assert (finding.code, "entry 2" in finding.message) == ("G308", True)
    (source,) = cured("masks()", finding)
    assert (region(big, source) == objects[0]).all()
    assert findings(big, 'masks("m", index 1)', 'video "clip" { frames 0..1 }') == []


def test_ids_may_have_other_colours_on_other_frames(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    images = greys(*objects, 0, 1, 2)
    for number, image in enumerate(images):
        image.putpalette([0, 0, 0, 10 * number + 90, 40, 0, 0, 10 * number + 90, 40])
    save(big, images)
    assert (region(big, 'masks("m", index 1)') == objects[0]).all()
    assert findings(big, 'masks("m", index 1)') == []


def test_a_palette_of_black_and_white_is_a_mask(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    images = greys(*objects, 0, 1, 0)
    for image in images:
        image.putpalette([0, 0, 0, 255, 255, 255])
    save(big, images)
    assert (region(big, 'masks("m")') == objects[0]).all()
    assert findings(big, 'masks("m")') == []


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_are_no_masks(big: ClipFolder, suffix: str) -> None:
    x, y = np.meshgrid(np.arange(160), np.arange(120))
    pictures = [
        np.stack([x + 5 * i, 2 * y, 255 - x], -1).clip(0, 255).astype(np.uint8) for i in range(3)
    ]
    save(big, [Image.fromarray(picture) for picture in pictures], suffix)
    finding = refused(big, 'masks("m")')
    assert finding.code == "G320"
    assert "pictures with many colours" in finding.message
    (source,) = cured('masks("m")', finding)
    assert region(big, source).any()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_grey_pictures_are_no_masks(big: ClipFolder, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    save(big, [picture] * 3, suffix)
    finding = refused(big, 'masks("m")')
    assert (finding.code, "shades of grey" in finding.message) == ("G320", True)
    (source,) = cured('masks("m")', finding)
    assert region(big, source).any()


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


BINARY = {
    "plain": lambda image: image,
    "bits": lambda image: image.convert("1"),
    "colours": lambda image: image.convert("RGB"),
    "opaque": lambda image: image.convert("RGBA"),
    "grey white": lambda image: image.point(lambda value: value * 200 // 255),
    "jpeg 30": lambda image: jpeg(image, 30),
    "jpeg 95": lambda image: jpeg(image, 95),
    "colour jpeg": lambda image: jpeg(image.convert("RGB"), 60),
    "saved from jpeg": lambda image: jpeg(image.convert("RGB"), 75).convert("RGB"),
    "saved from good jpeg": lambda image: jpeg(image, 97).convert("L"),
    "antialiased": lambda image: image.resize((640, 480)).resize((160, 120), Image.Resampling.BOX),
    "scaled up": lambda image: image.resize((40, 30), Image.Resampling.BOX).resize(
        (160, 120), Image.Resampling.BICUBIC
    ),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
}


@pytest.mark.parametrize("kind", BINARY)
def test_noise_and_soft_edges_do_not_matter(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]], kind: str
) -> None:
    one, _ = objects
    images = [BINARY[kind](Image.fromarray(mask.astype(np.uint8) * 255)) for mask in one]
    suffix = "jpg" if "jpeg" in kind and "saved" not in kind else "png"
    save(big, images, suffix, **({"quality": "keep"} if suffix == "jpg" else {}))
    assert findings(big, 'masks("m")') == []
    assert (region(big, 'masks("m")') == one).mean() > 0.98


@pytest.mark.parametrize("size", [2, 9])
def test_small_objects_may_have_soft_edges(big: ClipFolder, size: int) -> None:
    masks = [big.mask(50, 50, 50 + size, 50 + size).astype(np.uint8) * 255 for _ in range(3)]
    blur = ImageFilter.GaussianBlur(0.7)
    save(big, [Image.fromarray(mask).filter(blur) for mask in masks])
    assert findings(big, 'masks("m")') == []


def test_soft_mattes_are_a_warning(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    one, _ = objects
    hair = [big.mask(62 + 4 * i, 30, 92 + 4 * i, 60) for i in range(3)]
    values = np.random.default_rng(1).integers(60, 200, (3, 120, 160))
    save(
        big,
        [
            Image.fromarray(np.where(h, v, a * 255).astype(np.uint8))
            for h, v, a in zip(hair, values, one, strict=True)
        ],
    )
    finding = warned(big, 'masks("m")')
    assert finding.code == "G321"
    assert "% of the pixels" in finding.message
    (source,) = cured('masks("m")', finding)
    assert findings(big, source) == []
    assert (region(big, source) == region(big, 'masks("m")')).all()


def write_video(path: Path, frames: list[np.ndarray], codec: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = {"libx264": "yuv420p", "ffv1": "gray"}[codec]
        for frame in frames:
            kind = "rgb24" if frame.ndim == 3 else "gray"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=kind)))
        container.mux(stream.encode())


def test_videos(big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    one, other = objects
    write_video(big.root / "m.mp4", [mask.astype(np.uint8) * 255 for mask in one], "libx264")
    assert findings(big, 'masks("m.mp4")') == []
    write_video(big.root / "m.mkv", [np.asarray(i) for i in greys(one, other, 0, 1, 255)], "ffv1")
    finding = refused(big, 'masks("m.mkv")')
    assert "0, 1 and 255" in finding.message
    assert (region(big, cured('masks("m.mkv")', finding)[0]) == one).all()
    write_video(big.root / "m.mp4", [np.asarray(i) for i in coloured(one, other)], "libx264")
    finding = refused(big, 'masks("m.mp4")')
    assert (finding.code, "save them as PNG" in finding.cure) == ("G320", True)
    grey = [np.asarray(i) for i in greys(one, other, 0, 110, 255)]
    write_video(big.root / "m.mp4", grey, "libx264")
    (source,) = cured('masks("m.mp4")', refused(big, 'masks("m.mp4")'))
    assert region(big, source).any()


def test_index_selects_from_videos_that_are_grey(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    ids = [np.asarray(image) for image in greys(*objects, 0, 1, 2)]
    write_video(big.root / "m.mkv", ids, "ffv1")
    for number in (0, 1):
        chosen = region(big, f'masks("m.mkv", index {number + 1})')
        assert (chosen == objects[number]).all()
    finding = refused(big, 'masks("m.mkv")')
    assert (finding.code, "0, 1 and 2" in finding.message) == ("G320", True)
    (source,) = cured('masks("m.mkv")', finding)
    assert (source, (region(big, source) == objects[0]).all()) == ('masks("m.mkv", index 1)', True)


@pytest.mark.parametrize("grey", [90, 128, 200])
@pytest.mark.parametrize("suffix", ["mp4", "jpg"])
def test_a_small_grey_object_in_compressed_masks(big: ClipFolder, grey: int, suffix: str) -> None:
    small = [big.mask(120, 50 + i, 132, 62 + i) for i in range(3)]
    images = greys([big.mask(20, 20, 100, 100)] * 3, small, 0, 255, grey)
    if suffix == "mp4":
        write_video(big.root / "m.mp4", [np.asarray(image) for image in images], "libx264")
    else:
        save(big, images, "jpg")
    source = 'masks("m.mp4")' if suffix == "mp4" else 'masks("m")'
    finding = warned(big, source)
    assert finding.code == "G321"
    (said,) = cured(source, finding)
    assert findings(big, said) == []


def test_ids_in_compressed_videos(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    write_video(big.root / "m.mp4", [np.asarray(i) for i in greys(*objects, 0, 1, 2)], "libx264")
    for source in ('masks("m.mp4")', 'masks("m.mp4", index 1)'):
        finding = refused(big, source)
        assert "grey PNG" in finding.cure
        assert "masks(…" not in finding.cure
    finding = refused(big, 'masks("m.mp4")')
    assert (finding.code, "the values 0" in finding.message) == ("G307", True)


def test_index_on_grey_pictures_with_colours(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    save(big, [image.convert("RGB") for image in greys(*objects, 0, 1, 2)])
    finding = refused(big, 'masks("m", index 1)')
    (source,) = cured("masks()", finding)
    assert (region(big, source) == objects[0]).all()
    save(big, [image.convert("RGB") for image in greys(*objects, 0, 1, 0)])
    (source,) = cured('masks("m")', refused(big, 'masks("m")'))
    assert (region(big, source) == objects[0]).all()


def test_all_frames_are_judged_together(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    """A second object may come into the picture late; frames that are not edited do not matter."""
    one, other = objects
    images = greys(one, [other[0] & False, other[1] & False, other[2]], 0, 255, 130)
    save(big, images)
    assert "0, 130 and 255" in refused(big, 'masks("m")').message
    assert (region(big, 'masks("m")', 'video "clip" { frames 0..1 }') == one[:2]).all()


def test_alpha(big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    one, other = objects
    pictures = coloured(one, other)
    for picture, mask in zip(pictures, one, strict=True):
        picture.putalpha(Image.fromarray(mask.astype(np.uint8) * 255))
    save(big, pictures)
    finding = refused(big, 'masks("m")')
    assert (finding.code, "partly transparent" in finding.message) == ("G308", True)
    (source,) = cured('masks("m")', finding)
    assert source == 'masks("m", alpha)'
    assert (region(big, source) == one).all()
    assert (region(big, 'masks("m", alpha, invert)') == ~np.stack(one)).all()
    assert findings(big, source) == []
    for picture, mask in zip(pictures, one, strict=True):
        picture.putalpha(Image.fromarray(mask.astype(np.uint8) * 90))
    save(big, pictures)
    finding = refused(big, 'masks("m", alpha)')
    (source,) = cured('masks("m", alpha)', finding)
    assert source == 'masks("m", alpha, threshold 17%)'
    assert (region(big, source) == one).all()


def test_alpha_needs_transparency(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    save(big, coloured(*objects))
    assert "has no transparency" in refused(big, 'masks("m", alpha)').message
    save(big, [picture.convert("RGBA") for picture in coloured(*objects)])
    assert "opaque everywhere" in refused(big, 'masks("m", alpha)').message


def test_orientation_in_exif_is_applied(
    big: ClipFolder, objects: tuple[list[np.ndarray], list[np.ndarray]]
) -> None:
    one, _ = objects
    for orientation, turn in {6: 1, 3: 2, 8: 3}.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = [Image.fromarray(np.rot90(mask, turn).astype(np.uint8) * 255) for mask in one]
        save(big, turned, exif=exif)
        assert (region(big, 'masks("m")') == one).all()
