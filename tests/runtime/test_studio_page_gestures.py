"""Gestures in the studio's page: what they write, what undo gives back, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from studio_page import place, select, studio_page, text_of, wait_for

SPEC = """grain 1
video "clips/two_men.mp4" { frames 0..6 step 2 }
source "a red man and a blue man on grass before green trees"
target "a green robot and a blue man on grass before green trees"

region left = masks("masks/two_men/left")
region a    = box(60%, 10%, 90%, 20%)
region b    = track(point(20%, 20%) @ 0)
region c    = box(5%, 80%, 25%, 95%)

edit left -> "green robot"
keep a

sampler ddim { steps 2 guidance 4 }
"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    folder = tmp_path_factory.mktemp("studio")
    with studio_page(folder, SPEC) as page:
        yield page, folder


@pytest.fixture
def page(studio: tuple[Any, Path]) -> Any:
    """The page, with the text as it was at first."""
    page, _ = studio
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(SPEC)
    page.locator("canvas.picture").focus()
    page.keyboard.press("Home")
    page.keyboard.press("v")
    page.locator(".chip[data-region=c]").wait_for()
    page.wait_for_timeout(400)  # for the shapes of the text
    return page


@pytest.fixture
def folder(studio: tuple[Any, Path]) -> Path:
    return studio[1]


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=5)
    page.mouse.up()


def region(page: Any, name: str) -> str:
    lines = text_of(page).splitlines()
    return next((line for line in lines if line.startswith(f"region {name} ")), "")


def masks(folder: Path) -> dict[str, int]:
    """The painted masks by their names, with the number of their pixels."""
    found = sorted(folder.glob("masks/painted/mine/painted/*.png"))
    return {path.name: int((np.asarray(Image.open(path)) > 0).sum()) for path in found}


def test_one_undo_gives_back_the_mask_before_a_stroke(page: Any, folder: Path) -> None:
    page.keyboard.press("n")
    page.keyboard.press("m")
    drag(page, (0.5, 0.1), (0.6, 0.12))
    drag(page, (0.5, 0.3), (0.6, 0.32))
    wait_for(page, "painted/00000-2.png")
    two = region(page, "painted")
    assert two == 'region painted = track(masks("masks/painted/mine/painted/00000-2.png") @ 0)'
    page.keyboard.press("Control+z")
    wait_for(page, "painted/00000.png")
    assert region(page, "painted") == two.replace("00000-2", "00000")
    kept = masks(folder)
    assert kept["00000-2.png"] > 1.7 * kept["00000.png"] > 0
    page.wait_for_timeout(300)
    drag(page, (0.5, 0.5), (0.6, 0.52))  # on the first stroke, without the second
    wait_for(page, "painted/00000-3.png")
    assert masks(folder) == {**kept, "00000-3.png": masks(folder)["00000-3.png"]}
    assert masks(folder)["00000-3.png"] < 1.1 * kept["00000-2.png"]
    for _ in range(2):
        page.keyboard.press("Control+z")
        page.wait_for_timeout(150)
    assert region(page, "painted") == ""
    assert text_of(page).rstrip() == SPEC.rstrip()


def test_a_stroke_repairs_one_frame_of_a_mask_folder(page: Any, folder: Path) -> None:
    page.keyboard.press("1")
    page.keyboard.press("m")
    page.wait_for_timeout(400)  # for the mask to begin on
    drag(page, (0.1, 0.1), (0.2, 0.12))
    wait_for(page, 'region left = masks("masks/painted/mine/left/frames")')
    new, old = folder / "masks/painted/mine/left/frames", folder / "masks/two_men/left"
    assert sorted(path.name for path in new.iterdir()) == sorted(p.name for p in old.iterdir())
    before, after = (np.asarray(Image.open(path / "00000.png")) > 0 for path in (old, new))
    assert after[:40, :50].any()
    assert not before[:40, :50].any()
    assert (before[60:] == after[60:]).mean() > 0.97  # the rest of the mask is as it was
    page.keyboard.press("Control+z")
    wait_for(page, 'region left = masks("masks/two_men/left")')


def test_delete_removes_only_what_is_shown_as_picked(page: Any) -> None:
    page.mouse.click(*place(page, 0.15, 0.9))
    page.keyboard.press("p")
    page.keyboard.press("Delete")
    page.wait_for_timeout(300)
    assert region(page, "c")
    page.keyboard.press("v")
    page.mouse.click(*place(page, 0.15, 0.9))
    page.keyboard.press("3")
    page.keyboard.press("Delete")
    page.wait_for_timeout(300)
    assert text_of(page).rstrip() == SPEC.rstrip()
    page.mouse.click(*place(page, 0.15, 0.9))
    page.keyboard.press("Delete")
    page.wait_for_timeout(300)
    assert region(page, "c") == ""


def test_boxes_obey_auto_keyframe_as_dragging_does(page: Any) -> None:
    page.keyboard.press("2")
    page.keyboard.press(".")
    page.keyboard.press(".")
    page.keyboard.press("b")
    page.keyboard.press("a")
    drag(page, (0.5, 0.5), (0.7, 0.7))
    wait_for(page, "region a    = box(50%, 50%, 70%, 70%)\n")
    page.keyboard.press("a")
    drag(page, (0.2, 0.5), (0.4, 0.7))
    wait_for(page, "region a    = box(50%, 50%, 70%, 70%) @ 0, box(20%, 50%, 40%, 70%) @ 2\n")


def test_a_new_keyframe_is_selected_and_told_on_a_frame_that_is_left_out(page: Any) -> None:
    page.keyboard.press(".")
    drag(page, (0.75, 0.15), (0.75, 0.35))
    wait_for(page, "box(60%, 10%, 90%, 20%) @ 0, box(60%, 30%, 90%, 40%) @ 1")
    page.locator(".notice", has_text="The spec leaves out frame 1: it uses 0..6 step 2.").wait_for()
    page.locator(".cm-hint", has_text="frame 1 unused").wait_for()
    page.keyboard.press("F6")
    page.keyboard.type("X")
    wait_for(page, "@ 0, X\n")
    page.keyboard.press("Control+z")
    timeline = page.locator(".timeline")
    assert "left out by the spec" in timeline.get_attribute("aria-valuetext")


def test_nothing_collides_in_a_small_window(page: Any) -> None:
    page.set_viewport_size({"width": 800, "height": 600})
    try:
        page.keyboard.press("1")
        page.keyboard.press("b")
        drag(page, (0.1, 0.1), (0.3, 0.3))
        notice = page.locator(".notice.error").first
        notice.wait_for()
        boxes = page.evaluate(
            """() => Object.fromEntries([".notice", ".time", ".hint", ".lanes", ".clip-side"].map(
                name => [name, document.querySelector(name).getBoundingClientRect().toJSON()]))"""
        )
        assert boxes[".time"]["right"] <= boxes[".hint"]["left"]
        assert boxes[".hint"]["right"] <= boxes[".clip-side"]["right"] <= 800
        assert boxes[".notice"]["bottom"] <= boxes[".lanes"]["top"]
        tools = page.locator(".tools").evaluate("all => [all.scrollHeight, all.clientHeight]")
        assert tools[0] <= tools[1]
        notice.get_by_label("Close").click()
    finally:
        page.set_viewport_size({"width": 1280, "height": 800})


def test_the_plan_is_told_in_words(page: Any) -> None:
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(SPEC.replace("region b    = track(point(20%, 20%) @ 0)\n", ""))
    page.get_by_role("tab", name="Plan").click()
    plan = page.locator("#panel-plan")
    plan.locator("td", has_text="“green robot”").wait_for(timeout=60_000)
    plan.locator("tr", has_text="kept as it is").wait_for()
    assert "a, and what no region claims" in plan.inner_text()
    assert "digest" not in plan.inner_text()
    plan.locator("summary", has_text="Show JSON").click()
    assert '"digest"' in plan.inner_text()
    page.get_by_role("tab", name="Findings").click()


def test_a_file_that_is_gone_is_written_anew(page: Any, folder: Path) -> None:
    page.keyboard.press("Control+s")
    page.locator(".save", has_text="Saved").wait_for()
    path = folder / "mine.grain"
    path.rename(folder / "other.grain")
    page.locator(".notice", has_text="deleted or renamed mine.grain. Saving").wait_for()
    page.keyboard.press("Control+s")
    page.locator(".notice", has_text="it is written anew").wait_for()
    page.locator(".save", has_text="Saved").wait_for()
    assert path.read_text() == text_of(page) == (folder / "other.grain").read_text()


@contextmanager
def slow_server(page: Any, milliseconds: int = 400) -> Iterator[None]:
    """What the page asks of the language server comes late."""
    page.evaluate(
        """pause => {
            const { prototype } = WebSocket;
            const send = window.sendNow = prototype.send;
            prototype.send = function (text) { setTimeout(() => send.call(this, text), pause); };
        }""",
        milliseconds,
    )
    try:
        yield
    finally:
        page.evaluate("void (WebSocket.prototype.send = window.sendNow)")
        page.wait_for_timeout(milliseconds)


def test_drags_in_quick_succession_are_all_written(page: Any) -> None:
    with slow_server(page):
        drag(page, (0.75, 0.15), (0.75, 0.25))
        drag(page, (0.15, 0.87), (0.25, 0.87))
        wait_for(page, "region a    = box(60%, 20%, 90%, 30%)")
        wait_for(page, "region c    = box(15%, 80%, 35%, 95%)")
    page.keyboard.press("Control+z")
    wait_for(page, "region c    = box(5%, 80%, 25%, 95%)")


def test_shapes_drawn_in_quick_succession_are_all_written(page: Any) -> None:
    with slow_server(page):
        page.keyboard.press("n")
        page.keyboard.press("b")
        drag(page, (0.4, 0.4), (0.5, 0.5))
        page.mouse.move(*place(page, 0.6, 0.5))
        page.mouse.down()
        page.wait_for_timeout(1000)  # the first one is written meanwhile
        page.mouse.move(*place(page, 0.7, 0.6), steps=5)
        page.mouse.up()
        wait_for(page, "region_1 = box(40%, 40%, 50%, 50%)")
        wait_for(page, "region_2 = box(60%, 50%, 70%, 60%)")


def test_a_shape_is_dragged_before_its_text_is_written(page: Any) -> None:
    with slow_server(page):
        page.keyboard.press("n")
        page.keyboard.press("b")
        drag(page, (0.4, 0.4), (0.5, 0.5))
        page.keyboard.press("v")
        drag(page, (0.45, 0.45), (0.55, 0.45))
        wait_for(page, "region_1 = box(50%, 40%, 60%, 50%)")
        assert page.locator(".chip.chosen").get_attribute("data-region") == "region_1"


def test_words_selected_while_a_gesture_is_written_are_bound(page: Any) -> None:
    with slow_server(page):
        page.keyboard.press("n")
        page.keyboard.press("p")
        page.mouse.click(*place(page, 0.8, 0.6))
        select(page, "robot")
        wait_for(page, "region_1 = track(point(80%, 60%) @ 0)")
        page.wait_for_timeout(200)
        page.locator(".bind-bar button", has_text="left").click()
        wait_for(page, 'edit left -> "robot"')


def test_words_are_bound_where_they_are_once_the_text_before_them_has_changed(page: Any) -> None:
    with slow_server(page):
        select(page, "robot")
        page.keyboard.press("Alt+1")
        page.locator(".cm-line", has_text="grain 1").click()
        page.keyboard.press("End")
        page.keyboard.type("  # more words than before")
        wait_for(page, 'edit left -> "robot"')
    assert "# more words than before" in text_of(page)


def held(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag without letting go."""
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *end), steps=5)
    page.wait_for_timeout(200)


@pytest.mark.parametrize("key", ["Escape", ".", "p"])
def test_a_drag_that_is_broken_off_leaves_nothing_behind(page: Any, key: str) -> None:
    held(page, (0.15, 0.87), (0.25, 0.77))
    wait_for(page, "region c    = box(15%, 70%, 35%, 85%)")
    page.keyboard.press(key)
    page.mouse.up()
    wait_for(page, "region c    = box(5%, 80%, 25%, 95%)")
    assert text_of(page).rstrip() == SPEC.rstrip()
    typed = SPEC.replace("box(5%, 80%, 25%, 95%)", "box(60%, 60%, 90%, 90%)")
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(typed)
    page.wait_for_timeout(500)
    page.locator("canvas.picture").focus()
    page.keyboard.press("v")
    page.keyboard.press("Home")
    page.wait_for_timeout(300)
    drag(page, (0.15, 0.87), (0.25, 0.77))  # where the box is not any more
    page.wait_for_timeout(300)
    assert text_of(page).rstrip() == typed.rstrip()
    drag(page, (0.75, 0.75), (0.75, 0.65))
    wait_for(page, "region c    = box(60%, 50%, 90%, 80%)")
    page.wait_for_timeout(500)  # for the end of the drag


def test_a_drag_stops_playing(page: Any) -> None:
    page.keyboard.press("Space")
    drag(page, (0.15, 0.87), (0.25, 0.77))
    page.get_by_label("Play", exact=True).wait_for()
    page.wait_for_timeout(300)
    assert region(page, "c").startswith("region c    = box(5%, 80%, 25%, 95%) @ 0") or region(
        page, "c"
    ).startswith("region c    = box(15%, 70%, 35%, 85%)")


def test_quick_arrow_keys_move_a_shape_by_all_their_steps(page: Any) -> None:
    page.mouse.click(*place(page, 0.15, 0.87))
    with slow_server(page, 100):
        for _ in range(10):
            page.keyboard.press("Shift+ArrowRight")
        wait_for(page, "region c    = box(45%, 80%, 65%, 95%)")
    page.wait_for_timeout(200)
    page.keyboard.press("Shift+ArrowRight")
    wait_for(page, "region c    = box(49%, 80%, 69%, 95%)")


def test_delete_that_is_held_or_pressed_again_removes_one_shape(page: Any) -> None:
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    points = "region b    = track(point(20%, 20%) @ 0, point(40%, 40%) @ 0, point(60%, 60%) @ 0)"
    page.keyboard.insert_text(SPEC.replace("region b    = track(point(20%, 20%) @ 0)", points))
    page.locator("canvas.picture").focus()
    page.wait_for_timeout(500)
    page.mouse.click(*place(page, 0.2, 0.2))
    page.keyboard.down("Delete")
    page.keyboard.down("Delete")
    page.keyboard.up("Delete")
    page.keyboard.press("Delete")
    page.keyboard.press("Delete")
    page.wait_for_timeout(600)
    kept = "region b    = track(point(40%, 40%) @ 0, point(60%, 60%) @ 0)"
    assert region(page, "b") == kept


def test_enter_closes_a_polygon_whose_corners_were_clicked(page: Any) -> None:
    page.keyboard.press("n")
    page.keyboard.press("l")
    for corner in ((0.1, 0.1), (0.3, 0.1), (0.3, 0.3)):
        page.mouse.click(*place(page, *corner))
        page.wait_for_timeout(50)
    page.keyboard.press(".")  # the corners stay
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    wait_for(page, "polygon(10% 10%, 30% 10%, 30% 30%)")
    page.keyboard.press("n")
    page.mouse.click(*place(page, 0.5, 0.5))
    page.keyboard.press("v")
    page.locator(".notice", has_text="The polygon that was begun is dropped").wait_for()


def test_a_refusal_is_told_until_the_text_changes(page: Any) -> None:
    page.keyboard.press("1")
    page.keyboard.press("b")
    drag(page, (0.1, 0.1), (0.3, 0.3))
    page.locator(".notice.error").wait_for()
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("#")
    page.locator(".notice.error").wait_for(state="detached")


def test_a_file_that_is_no_text_any_more_is_written_over(page: Any, folder: Path) -> None:
    page.keyboard.press("Control+s")
    page.locator(".save", has_text="Saved").wait_for()
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("# mine")
    (folder / "mine.grain").write_bytes(b"grain 1\n\xff\xfe\n")
    page.locator(".notice.error").get_by_text("Keep this text").click()
    page.locator(".save", has_text="Saved").wait_for()
    page.wait_for_timeout(300)
    assert (folder / "mine.grain").read_text().endswith("# mine")


def test_masks_that_another_program_removes_are_not_shown_any_more(page: Any, folder: Path) -> None:
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(SPEC.replace("region b    = track(point(20%, 20%) @ 0)\n", ""))
    left = page.locator(".chip[data-region=left] .share")
    left.filter(has_text="%").wait_for()
    masks_of_left = folder / "masks/two_men/left"
    masks_of_left.rename(folder / "away")
    try:
        left.filter(has_not_text="%").wait_for()
    finally:
        (folder / "away").rename(masks_of_left)
