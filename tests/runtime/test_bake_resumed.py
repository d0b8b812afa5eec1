"""Tracking that is interrupted, killed or started twice goes on, and leaves nothing half-written."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from baked import BOTH, masks_of, repair, track
from crash import in_child, kill
from fake_tracker import Engines, FakeTracker, inside, spec_of

from grainspec import GrainError
from grainspec.clip.facts import probe
from grainspec.regions.tracked.labels import image_name, label_image
from grainspec.regions.tracked.state import tracked_state
from grainspec_runtime.tracking.write import is_foreign
from grainspec_runtime.whole_folder import claimed

pytestmark = pytest.mark.usefixtures("quick_disk")


def test_an_interrupted_command_goes_on(base: Path, engines: Engines) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    folder = base / "masks" / "tracked" / "edit"
    assert not folder.exists()  # nothing half-written
    engines.tracker.stops_after = None
    tracked = track(base)
    assert tracked.resumed == 3
    assert engines.tracker.calls == [[], [0, 1, 2]]
    assert engines.tracker.yielded == list(range(8))  # no frame twice
    np.testing.assert_array_equal(masks_of(tracked, "left")[1], inside("red", 1))
    assert [entry.name for entry in folder.parent.iterdir()] == ["edit"]


def test_other_prompts_do_not_resume(base: Path, engines: Engines) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    engines.tracker.stops_after = None
    assert track(base, BOTH.replace("10px", "11px")).resumed == 0
    assert [entry.name for entry in (base / "masks" / "tracked").iterdir()] == ["edit"]


def test_a_new_version_of_an_engine_does_not_resume(base: Path, engines: Engines) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    engines.tracker = FakeTracker(version="2")
    assert track(base).resumed == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_command_that_is_killed_at_any_moment(base: Path, engines: Engines) -> None:
    """The masks are the old or the new ones, what was repaired is kept, and frames are resumed."""
    folder = track(base).state.folder
    painted = repair(folder, 2, 1)
    shutil.copytree(folder, base / "old")
    moved = BOTH.replace("10px", "11px")
    resumed = []
    for at in itertools.count(5, 23):
        status = in_child(lambda: track(base, moved), kill(signal.SIGKILL), at)
        with claimed(folder, keeps=is_foreign, last="manifest.json"):
            pass  # puts in order what the killed process left
        old, new = (state_of(base, regions) for regions in (BOTH, moved))
        assert "fresh" in (old, new), at
        assert (folder / image_name(2)).read_bytes() == painted
        tracked = track(base, moved)
        assert tracked.state.status == "fresh"
        assert (folder / image_name(2)).read_bytes() == painted
        np.testing.assert_array_equal(masks_of(tracked, "right")[3], inside("blue", 3))
        resumed.append(tracked.resumed)
        assert [entry.name for entry in folder.parent.iterdir()] == ["edit"]
        if status == 0:
            break
        shutil.rmtree(folder)
        shutil.copytree(base / "old", folder)
    assert max(resumed) == 8  # killed while the folder was written
    assert len({*resumed}) >= 3


def state_of(base: Path, regions: str) -> str:
    spec = spec_of(base, regions)
    return tracked_state(spec, base, probe(base / "clip")).status


def test_what_is_left_of_deleting_finished_frames_is_deleted(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    half = folder.with_name(".edit.tracking-done")
    half.mkdir()
    os.utime(half, (2**32, 2**32))  # files were deleted in it since the masks were written
    assert track(base).regions == ()
    assert not half.exists()


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n\x1a\n", None])
def test_a_damaged_frame_is_tracked_again(
    base: Path, engines: Engines, damage: bytes | None
) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    [partial] = base.glob("masks/tracked/.edit.tracking-*/00001.png")
    if damage is None:
        label_image(np.full((48, 64), 9, np.uint8)).save(partial)
    else:
        partial.write_bytes(damage)
    engines.tracker.stops_after = None
    tracked = track(base)
    assert tracked.resumed == 2
    np.testing.assert_array_equal(masks_of(tracked, "left")[1], inside("red", 1))


def test_two_at_once_are_refused(base: Path, engines: Engines) -> None:
    from grainspec.file_lock import locked_file

    (base / "masks" / "tracked").mkdir(parents=True)
    lock = base / "masks" / "tracked" / ".edit.grain-lock"
    held = locked_file(lock)
    held.write(b"4711\n")
    held.flush()
    with pytest.raises(GrainError, match="G364: .*tracking the regions of edit: process 4711"):
        track(base)
    held.close()
    assert track(base).regions == ("left", "right")
