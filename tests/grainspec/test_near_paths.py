"""Paths that lead nowhere, and names that are refused: what an editor says and offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import ClipFolder

from grainspec import GrainError
from grainspec.analysis.checks import check_document
from grainspec.analysis.document import Document
from grainspec.analysis.fixes import corrections
from grainspec.analysis.symbols import renamed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("near")
    ClipFolder(root)
    (root / "masks" / "two").mkdir(parents=True)
    (root / "left").rename(root / "masks" / "two" / "left")
    (root / "movie.mp4").write_bytes(b"x")
    (root / "labels.json").write_text("{}")
    return root


@pytest.mark.parametrize(
    ("clip", "masks", "wrong", "right"),
    [
        ("clib", "masks/two/left", "clib", "clip"),
        ("movies.mp4", "masks/two/left", "movies.mp4", "movie.mp4"),
        ("clip", "masks/two/lefd", "masks/two/lefd", "masks/two/left"),
        ("clip", "./masks/to/left", "./masks/to/left", "./masks/two/left"),
        ("clip", "mask/two/lefd", "mask/two/lefd", "masks/two/left"),
        ("clip", "label.json", "label.json", "labels.json"),
        ("clip", "other", "other", None),
        ("clip", "masks/two/lefd/none.png", "masks/two/lefd/none.png", None),
    ],
)
def test_a_near_path_is_offered(
    folder: Path, clip: str, masks: str, wrong: str, right: str | None
) -> None:
    text = f'grain 1\nvideo "{clip}"\ntarget "a bear"\nregion a = masks("{masks}")\n'
    text += 'edit instance a -> "bear"\n'
    document = Document(text, folder / "a.grain")
    facts = check_document(document)
    assert facts is not None
    found = [one for one in facts.findings if one.message.endswith("does not exist")]
    offered = [*corrections(document, found, 0, len(text))]
    if right is None:
        assert (offered, found[0].cure[:14]) == ([], "Check the path")
        return
    [edit] = offered[0].edits
    assert text[: edit.start] + edit.text + text[edit.end :] == text.replace(wrong, right)


@pytest.mark.parametrize("rest", ["masks/left", "masks/*.png", "masks/left.mp4", "masks.json"])
def test_a_url_in_a_spec_of_this_machine_is_said(folder: Path, rest: str) -> None:
    url = f"s3://me:secret@studio/{rest}"
    text = 'grain 1\nvideo "{}"\ntarget "a bear"\nregion a = masks("{}")\nedit a -> "bear"\n'
    for video, masks, what in (("clip", url, "masks"), (url, "masks/two/left", "video")):
        facts = check_document(Document(text.format(video, masks), folder / "a.grain"))
        assert facts is not None
        found = next(one for one in facts.findings if one.is_error)
        assert found.message.startswith(f"the {what} s3://studio/{rest} cannot be read from a URL")
        assert "Put the spec into the same store" in found.cure


def test_a_name_that_is_refused_has_no_place(folder: Path) -> None:
    with pytest.raises(GrainError) as error:
        renamed(Document("region sky = all  keep sky", None), 8, "9 lives")
    assert str(error.value).startswith("G202: invalid name `9 lives`")
