"""Objects from labelling tools: COCO, CVAT, LabelMe, YOLO; which of them are the region."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import ClipFolder
from mask_sources import cured, findings, refused, region, warned
from PIL import Image

ONE = [(4 + 2 * i, 6, 24 + 2 * i, 30) for i in range(4)]
OTHER = [(36, 10 + i, 60, 40 + i) for i in range(4)]
NAMES = [f"frame_{i:06}.PNG" for i in range(4)]


@pytest.fixture
def one(clip: ClipFolder) -> np.ndarray:
    return np.stack([clip.mask(*box) for box in ONE])


@pytest.fixture
def other(clip: ClipFolder) -> np.ndarray:
    return np.stack([clip.mask(*box) for box in OTHER])


def corners(box: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    x0, y0, x1, y1 = box
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def ring(box: tuple[int, int, int, int]) -> list[list[int]]:
    return [[number for point in corners(box) for number in point]]


def coco(
    root: Path,
    objects: dict[int, list[tuple[int, int, int, int]]],
    about: Callable[[int], dict[str, Any]],
    names: list[str] = NAMES,
    categories: dict[int, str] | None = None,
) -> None:
    """A COCO data set with these objects; ``about`` gives an object's other fields."""
    images = [
        {"id": 90 - i, "file_name": name, "width": 64, "height": 48} for i, name in enumerate(names)
    ]
    annotations = [
        {"id": 10 * n + i, "image_id": 90 - i, "segmentation": ring(box), **about(n)}
        for n, boxes in objects.items()
        for i, box in enumerate(boxes[: len(names)])
    ]
    named = [{"id": n, "name": name} for n, name in (categories or {1: "man", 2: "dog"}).items()]
    document = {"images": images, "annotations": annotations, "categories": named}
    (root / "m.json").write_text(json.dumps(document))


BOTH = {1: ONE, 2: OTHER}


@pytest.mark.parametrize(
    "about",
    [
        lambda n: {"category_id": 1, "attributes": {"track_id": n, "occluded": False}},
        lambda n: {"category_id": 1, "track_id": n},
        lambda n: {"category_id": 1, "instance_id": n, "attributes": {}},
        lambda n: {"category_id": 1, "attributes": {"object_id": str(n)}},
        lambda n: {"category_id": n},
    ],
)
def test_an_index_is_the_number_of_the_object(
    clip: ClipFolder, one: np.ndarray, other: np.ndarray, about: Callable[[int], dict[str, Any]]
) -> None:
    coco(clip.root, BOTH, about)
    assert (region(clip, 'masks("m.json", index 1)') == one).all()
    assert (region(clip, 'masks("m.json", index 2)') == other).all()
    assert findings(clip, 'masks("m.json", index 1)') == []
    finding = refused(clip, 'masks("m.json")')
    assert finding.code == "G320"
    for source in cured('masks("m.json")', finding):
        assert region(clip, source).any()
    assert refused(clip, 'masks("m.json", index 7)').code == "G307"


def test_a_shared_index_is_an_error(clip: ClipFolder, one: np.ndarray, other: np.ndarray) -> None:
    coco(clip.root, BOTH, lambda n: {"category_id": 1})
    finding = refused(clip, 'masks("m.json", index 1)')
    assert finding.code == "G325"
    assert "several objects" in finding.message
    assert finding.message.endswith(": man")
    (source,) = cured('masks("m.json", index 1)', finding)
    assert source == 'masks("m.json", index 1, label "man")'
    assert (region(clip, source) == one | other).all()
    source = 'masks("m.json", label "man")'
    assert (region(clip, source) == one | other).all()
    assert findings(clip, source) == []
    finding = refused(clip, 'masks("m.json")')
    assert cured('masks("m.json")', finding) == [source]
    coco(clip.root, {1: ONE}, lambda n: {"category_id": 1})
    assert (region(clip, 'masks("m.json")') == one).all()


def test_numbers_that_count_within_a_category(
    clip: ClipFolder, one: np.ndarray, other: np.ndarray
) -> None:
    coco(clip.root, BOTH, lambda n: {"category_id": n, "instance_id": 1})
    finding = refused(clip, 'masks("m.json")')
    assert "`index 1` (dog) and `index 1` (man)" in finding.message
    finding = refused(clip, 'masks("m.json", index 1)')
    assert finding.code == "G325"
    (source,) = cured('masks("m.json", index 1)', finding)
    assert source == 'masks("m.json", index 1, label "man")'
    assert (region(clip, source) == one).all()
    assert (region(clip, 'masks("m.json", label "dog", index 1)') == other).all()
    assert findings(clip, source) == []
    assert "`index 1` (dog)" in refused(clip, 'masks("m.json", label "cat")').cure


def test_objects_without_any_number(clip: ClipFolder) -> None:
    coco(clip.root, BOTH, lambda n: {})
    assert "track_id" in refused(clip, 'masks("m.json")').cure
    assert refused(clip, 'masks("m.json", index 1)').code == "G308"


@pytest.mark.parametrize("step", [1, 3])
def test_coco_is_bound_by_the_numbers_in_names(tmp_path: Path, one: np.ndarray, step: int) -> None:
    (tmp_path / "long").mkdir()
    clip = ClipFolder(tmp_path / "long", frames=12)
    coco(clip.root, {1: ONE}, lambda n: {}, [f"frame_{i * step:06}_v2.PNG" for i in range(4)])
    video = f'video "clip" {{ frames {step}..{3 * step} step {step} }}'
    assert (region(clip, 'masks("m.json")', video) == one[1:]).all()
    assert findings(clip, 'masks("m.json")', video) == []
    if step > 1:
        assert refused(clip, 'masks("m.json")').code == "G305"


def test_coco_without_numbers_is_bound_by_order(clip: ClipFolder, one: np.ndarray) -> None:
    for names in (
        ["a.png", "b.png", "c.png", "d.png"],
        ["0_1.png", "1_2.png", "2_3.png", "3_4.png"],
    ):
        coco(clip.root, {1: ONE}, lambda n: {}, names)
        assert (region(clip, 'masks("m.json")') == one).all()
        finding = warned(clip, 'masks("m.json")')
        assert (finding.code, "by order" in finding.message) == ("G324", True)
        (source,) = cured('masks("m.json")', finding)
        assert source == 'masks("m.json", in_order)'
        assert (region(clip, source) == one).all()
        assert findings(clip, source) == []
    coco(clip.root, {1: ONE}, lambda n: {}, ["a/1.png", "b/1.png", "a/2.png", "b/2.png"])
    assert "both frame 1" in refused(clip, 'masks("m.json")').message


@pytest.mark.parametrize(
    "names",
    [
        ["0" * 32, "9e3779b97f4a7c15f39cc0605cedc835", "3c6ef372fe94f82b", "daa66d2c7ddf7441"],
        ["5f1c2a90-aa", "c3d4e5f6-bb", "1a2b3c4d-cc", "0f9e8d7c-dd"],
    ],
)
def test_random_names_have_no_order(clip: ClipFolder, one: np.ndarray, names: list[str]) -> None:
    coco(clip.root, {1: ONE}, lambda n: {}, [f"{name}.jpg" for name in names])
    finding = refused(clip, 'masks("m.json")')
    assert (finding.code, "random" in finding.message) == ("G322", True)
    assert "in_order" not in finding.cure
    assert region(clip, 'masks("m.json", in_order)').any()


@pytest.mark.parametrize("outlines", [{"segmentation": []}, {}, {"segmentation": None}])
def test_coco_with_boxes_only(clip: ClipFolder, one: np.ndarray, outlines: dict[str, Any]) -> None:
    coco(clip.root, {1: ONE}, lambda n: {"category_id": 1})
    document = json.loads((clip.root / "m.json").read_text())
    document["annotations"][2] |= {"bbox": [3, 4, 20, 20]}
    del document["annotations"][2]["segmentation"]
    document["annotations"][2] |= outlines
    (clip.root / "m.json").write_text(json.dumps(document))
    finding = refused(clip, 'masks("m.json")')
    assert (finding.code, "box only; export segmentations" in finding.message) == ("G308", True)
    seen = region(clip, 'masks("m.json")', 'video "clip" { frames 0..1 }')
    assert (seen == one[:2]).all()


@pytest.mark.parametrize(("key", "value"), [("image_id", 7), ("segmentation", None)])
def test_broken_annotations_are_said_in_words(clip: ClipFolder, key: str, value: Any) -> None:
    coco(clip.root, {1: ONE}, lambda n: {})
    document = json.loads((clip.root / "m.json").read_text())
    document["annotations"][0][key] = value
    if value is None:
        del document["annotations"][0][key]
    (clip.root / "m.json").write_text(json.dumps(document))
    finding = refused(clip, 'masks("m.json")')
    assert (finding.code, key in finding.message) == ("G308", True)
    assert "Error" not in finding.message


def test_numbers_that_some_annotations_lack(clip: ClipFolder, one: np.ndarray) -> None:
    coco(clip.root, BOTH, lambda n: {"category_id": n, "track_id": n})
    document = json.loads((clip.root / "m.json").read_text())
    del document["annotations"][2]["track_id"]
    (clip.root / "m.json").write_text(json.dumps(document))
    finding = refused(clip, 'masks("m.json", index 1)')
    assert (finding.code, "frame 2" in finding.message) == ("G308", True)
    assert "without a number" in finding.message
    assert region(clip, 'masks("m.json", index 2)').any()
    seen = region(clip, 'masks("m.json", index 1)', 'video "clip" { frames 0..1 }')
    assert (seen == one[:2]).all()


def labelme(root: Path, objects: dict[str, list[tuple[int, int, int, int]]], **more: Any) -> None:
    (root / "m").mkdir(exist_ok=True)
    for i in range(4):
        shapes = [
            {"label": label, "points": corners(boxes[i]), "shape_type": "polygon", **more}
            for label, boxes in objects.items()
        ]
        document = {"shapes": shapes, "imagePath": "x.jpg", "imageHeight": 48, "imageWidth": 64}
        (root / "m" / f"{i:05}.json").write_text(json.dumps(document))


def test_labelme(clip: ClipFolder, one: np.ndarray, other: np.ndarray) -> None:
    labelme(clip.root, {"man": ONE})
    assert (region(clip, 'masks("m")') == one).all()
    assert (region(clip, 'masks("m/*.json")') == one).all()
    assert findings(clip, 'masks("m")') == []
    labelme(clip.root, {"man": ONE, "dog": OTHER})
    assert refused(clip, 'masks("m")').code == "G320"
    (source,) = cured('masks("m")', refused(clip, 'masks("m")'))
    assert (region(clip, source) == one).all()
    assert (region(clip, 'masks("m", label "dog")') == other).all()
    labelme(clip.root, {"man": ONE}, group_id=4)
    assert (region(clip, 'masks("m", index 4)') == one).all()
    (clip.root / "m/00002.json").unlink()
    for source in cured('masks("m")', refused(clip, 'masks("m")')):
        found = region(clip, source)
        assert (found[[0, 1, 3]] == one[[0, 1, 3]]).all()
        assert not found[2].any()


def test_labelme_beside_its_pictures(clip: ClipFolder, one: np.ndarray) -> None:
    """The pictures of the clip are no masks; other JSON beside masks is none of LabelMe's."""
    labelme(clip.root, {"man": ONE})
    for i in range(4):
        Image.open(clip.root / "clip" / f"{i:05}.png").save(clip.root / "m" / f"{i:05}.png")
    assert (region(clip, 'masks("m")') == one).all()
    (clip.root / "left" / "00000.json").write_text('{"made by": "a tracker"}')
    assert region(clip, 'masks("left")').any()


def test_shapes_of_labelme(clip: ClipFolder) -> None:
    def draw(**shape: Any) -> np.ndarray:
        document = {"shapes": [{"label": "a", **shape}], "imageHeight": 48, "imageWidth": 64}
        (clip.root / "0.json").write_text(json.dumps(document))
        return region(clip, 'masks("0.json")', 'video "clip" { frames 0..0 }')[0]

    assert (
        draw(points=[[4, 6], [20, 30]], shape_type="rectangle") == clip.mask(4, 6, 20, 30)
    ).all()
    circle = draw(points=[[30, 20], [30, 30]], shape_type="circle")
    assert abs(circle.sum() - np.pi * 100) < 10
    assert circle[20, 21]
    for broken in (
        {"points": [[1, 2]], "shape_type": "point"},
        {"points": [[1, 2]]},
        {"points": "x"},
        {},
        {"points": [[1, float("nan")]] * 3},
    ):
        with pytest.raises(Exception, match="G308"):
            draw(**broken)


def yolo(root: Path, lines: Callable[[int], str]) -> None:
    (root / "m").mkdir(exist_ok=True)
    (root / "m" / "classes.txt").write_text("man\ndog\n")
    for i in range(4):
        (root / "m" / f"clip_{i}.txt").write_text(lines(i))


def shares(box: tuple[int, int, int, int]) -> str:
    return " ".join(f"{x / 64} {y / 48}" for x, y in corners(box))


def test_yolo(clip: ClipFolder, one: np.ndarray, other: np.ndarray) -> None:
    yolo(clip.root, lambda i: f"0 {shares(ONE[i])}\n")
    assert (region(clip, 'masks("m")') == one).all()
    yolo(clip.root, lambda i: f"0 {shares(ONE[i])} 3\n0 {shares(OTHER[i])} 4\n")  # tracks
    assert (region(clip, 'masks("m", index 4)') == other).all()
    assert refused(clip, 'masks("m")').code == "G320"
    yolo(clip.root, lambda i: f"0 {shares(ONE[i])} 0.93\n1 {shares(OTHER[i])} 0.8\n")  # confidences
    assert (region(clip, 'masks("m", label "1")') == other).all()
    assert (region(clip, 'masks("m", index 0)') == one).all()
    for line, said in {
        "0 0.1 0.2 0.3 0.4": "boxes, not outlines",
        "man 0.1 0.2 0.3 0.4 0.5 0.6": "number of a class",
        "0 0.1 nan 0.3 0.4 0.5 0.6": "three points",
        "0 0.1 0.2": "three points",
        "0 0.1 x 0.3 0.4 0.5 0.6": "could not convert",
    }.items():
        yolo(clip.root, lambda i, line=line: line)  # type: ignore[misc]
        finding = refused(clip, 'masks("m")')
        assert (finding.code, said in finding.message) == ("G308", True), line


def cvat_video(shapes: Callable[[int, int], str], meta: str = "") -> str:
    size = "<original_size><width>64</width><height>48</height></original_size>"
    tracks = "".join(
        f'<track id="{n}" label="man">' + "".join(shapes(n, i) for i in range(4)) + "</track>"
        for n in (0, 1)
    )
    return (
        f"<annotations><meta><task><size>4</size>{meta}{size}</task></meta>{tracks}</annotations>"
    )


def polygon(n: int, i: int, frame: int | None = None, outside: int = 0) -> str:
    box = (ONE, OTHER)[n][i]
    points = ";".join(f"{x},{y}" for x, y in corners(box))
    place = i if frame is None else frame
    return f'<polygon frame="{place}" outside="{outside}" keyframe="1" points="{points}"/>'


def bits(n: int, i: int) -> str:
    x0, y0, x1, y1 = (ONE, OTHER)[n][i]
    x0, width = x0 - 1, x1 - x0 + 2  # a column of background on each side
    runs = ", ".join(
        ["1, " + ", ".join(f"{width - 2}, 2" for _ in range(y1 - y0 - 1)), f"{width - 2}, 1"]
    )
    return f'<mask frame="{i}" outside="0" rle="{runs}" left="{x0}" top="{y0}" width="{width}" height="{y1 - y0}"/>'


def box(n: int, i: int) -> str:
    x0, y0, x1, y1 = (ONE, OTHER)[n][i]
    return f'<box frame="{i}" outside="0" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"/>'


@pytest.mark.parametrize("shape", [polygon, bits, box])
def test_cvat_for_video(
    clip: ClipFolder, one: np.ndarray, other: np.ndarray, shape: Callable[[int, int], str]
) -> None:
    (clip.root / "m.xml").write_text(cvat_video(shape))
    assert (region(clip, 'masks("m.xml", index 0)') == one).all()
    assert (region(clip, 'masks("m.xml", index 1)') == other).all()
    assert (region(clip, 'masks("m.xml", label "man")') == one | other).all()
    finding = refused(clip, 'masks("m.xml")')
    assert "`index 0` (man) and `index 1` (man)" in finding.message
    for source in cured('masks("m.xml")', finding):
        assert findings(clip, source) == []


def test_cvat_objects_that_leave(clip: ClipFolder, other: np.ndarray) -> None:
    (clip.root / "m.xml").write_text(cvat_video(lambda n, i: polygon(n, i, outside=int(i > 1))))
    found = region(clip, 'masks("m.xml", index 1)')
    assert (found[:2] == other[:2]).all()
    assert not found[2:].any()


def test_cvat_of_every_nth_frame(tmp_path: Path, one: np.ndarray) -> None:
    (tmp_path / "long").mkdir()
    clip = ClipFolder(tmp_path / "long", frames=12)
    meta = (
        "<start_frame>2</start_frame><stop_frame>11</stop_frame><frame_filter>step=3</frame_filter>"
    )
    (clip.root / "m.xml").write_text(cvat_video(lambda n, i: polygon(n, i, 2 + 3 * i), meta))
    video = 'video "clip" { frames 2..11 step 3 }'
    assert (region(clip, 'masks("m.xml", index 0)', video) == one).all()
    assert refused(clip, 'masks("m.xml", index 0)').code == "G305"
    (clip.root / "m.xml").write_text(cvat_video(lambda n, i: polygon(n, i, 3 * i)))
    assert "interpolated" in refused(clip, 'masks("m.xml", index 0)').message
    beside = cvat_video(lambda n, i: polygon(n, i, 2 + 3 * i - (i == 3)), meta)
    (clip.root / "m.xml").write_text(beside)
    finding = refused(clip, 'masks("m.xml", index 0)', video)
    assert "a shape is on frame 10, and the task has only the frames 2, 5, 8, …" in finding.message
    (clip.root / "m.xml").write_text(beside.replace(' points="', ' pts="'))
    assert "a shape or frame has no `points`" in refused(clip, 'masks("m.xml", index 0)').message


def test_cvat_for_images(clip: ClipFolder, one: np.ndarray) -> None:
    def image(i: int, shape: str) -> str:
        return f'<image id="{i}" name="a/frame_{i:06}.PNG" width="64" height="48">{shape}</image>'

    shapes = [polygon(0, i).replace("<polygon", '<polygon label="man"') for i in range(4)]
    body = "".join(image(i, shapes[i]) for i in (2, 0, 1, 3))
    (clip.root / "m.xml").write_text(f"<annotations>{body}</annotations>")
    assert (region(clip, 'masks("m.xml")') == one).all()
    assert (region(clip, 'masks("m.xml", label "man")') == one).all()
    round_ = '<ellipse label="a" cx="30" cy="20" rx="12" ry="6" rotation="90"/>'
    (clip.root / "m.xml").write_text(f"<annotations>{image(0, round_)}</annotations>")
    found = region(clip, 'masks("m.xml")', 'video "clip" { frames 0..0 }')[0]
    assert found[31, 30]
    assert not found[20, 41]
    assert abs(found.sum() - np.pi * 72) < 12


def test_xml_is_parsed_without_entities(clip: ClipFolder) -> None:
    lol = '<!DOCTYPE a [<!ENTITY l "ha"><!ENTITY m "&l;&l;&l;&l;">]>'
    (clip.root / "m.xml").write_text(f"{lol}<annotations>&m;</annotations>")
    finding = refused(clip, 'masks("m.xml")')
    assert (finding.code, "document type" in finding.message) == ("G308", True)


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("m.xml", "<annotations/>", "G308", "no shape"),
        ("m.xml", "<annotations><track id='0' label='man'/></annotations>", "G308", "no shape"),
        ("m.xml", "no XML", "G308", "not XML"),
        ("m.xml", "<annotation><object/></annotation>", "G323", "Pascal VOC"),
        ("m.xml", "<svg/>", "G323", "`svg`"),
        ("m.xml", "<annotations>" + "<a>" * 99, "G308", "nested too deeply"),
        (
            "m.xml",
            "<annotations><track id='0'><cuboid frame='0'/></track></annotations>",
            "G308",
            "cuboid",
        ),
        (
            "m.xml",
            "<annotations><track id='0'><box frame='x'/></track></annotations>",
            "G308",
            "invalid",
        ),
        ("m.zip", "PK", "G323", "an archive"),
        ("m.tar.gz", "x", "G323", "an archive"),
        ("m.pt", "x", "G323", "PyTorch"),
        ("m.pkl", "x", "G323", "pickle"),
        ("m.gif", "GIF89a", "G323", "GIF"),
        ("m.svg", "<svg/>", "G323", "SVG"),
    ],
)
def test_what_is_not_read_is_named(
    clip: ClipFolder, name: str, content: str, code: str, said: str
) -> None:
    (clip.root / name).write_text(content)
    finding = refused(clip, f'masks("{name}")')
    assert (finding.code, said in finding.message) == (code, True), finding.message
    assert finding.cure


def test_an_archive_is_unpacked_as_the_error_says(clip: ClipFolder, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(clip.root / "packed.zip", "w") as archive:
        for path in sorted((clip.root / "left").iterdir()):
            archive.write(path, path.name)
    finding = refused(clip, 'masks("packed.zip")')
    assert "`unzip packed.zip -d packed`" in finding.cure
    with zipfile.ZipFile(clip.root / "packed.zip") as archive:
        archive.extractall(clip.root / "packed")
    assert 'masks("packed")' in cured('masks("packed.zip")', finding)
    assert region(clip, 'masks("packed")').any()


def test_a_folder_of_voc_is_named(clip: ClipFolder) -> None:
    (clip.root / "m").mkdir()
    (clip.root / "m" / "00000.xml").write_text("<annotation/>")
    finding = refused(clip, 'masks("m")')
    assert (finding.code, "SegmentationObject" in finding.cure) == ("G323", True)
