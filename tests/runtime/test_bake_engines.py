"""Which engine makes the masks, when they are of another one, and what it must not do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from baked import BOTH, track
from fake_tracker import Engines, FakeTracker, spec_of

from grainspec import GrainError
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.regions.tracked.weights import named
from grainspec_runtime.prepare import prepare
from grainspec_runtime.tracking.bake import TrackOptions, ensure_tracked
from grainspec_runtime.tracking.choices import EngineChoice

pytestmark = pytest.mark.usefixtures("quick_disk")


def test_another_engine_by_option(base: Path, engines: Engines) -> None:
    track(base)
    engines.tracker = FakeTracker(name="sam2", weights="hub/sam2 abc")
    chosen = EngineChoice(tracker="sam2")
    tracked = track(base, engines=chosen)
    assert tracked.regions == ("left", "right")
    assert tracked.state.manifest.sources[0].tracker.weights == "hub/sam2 abc"
    assert track(base, engines=chosen).regions == ()
    assert track(base).regions == ()  # the option stays chosen until the spec says another engine
    assert track(base, engines=EngineChoice(tracker="sam2=hub/sam2")).regions == ()
    assert track(base, engines=EngineChoice(finder="owlv2")).regions == ()  # it finds nothing here
    other = EngineChoice(tracker="sam2=models/large")
    assert track(base, engines=other).regions == ("left", "right")
    assert engines.loaded == ["tracker", "tracker hub/sam2", "tracker models/large"]


def test_other_weights_in_the_same_folder_and_other_versions(base: Path, engines: Engines) -> None:
    tiny = base / "tiny"
    tiny.mkdir()
    for name in ("config.json", "model.safetensors"):
        (tiny / name).write_bytes(b"1")
    spec = spec_of(base, BOTH, more='keep right tracker sam2 { weights "tiny" }')
    engines.tracker = FakeTracker(name="sam2", weights=named(str(tiny), tiny))
    said: list[str] = []
    options = TrackOptions(compares=True, say=said.append)
    assert ensure_tracked(spec, base, options).regions == ("left", "right")
    assert ensure_tracked(spec, base, options).regions == ()

    (tiny / "model.safetensors").write_bytes(b"22")
    [finding] = check_tracked_masks(spec, base)  # which loads nothing
    assert finding.code == "G358"
    assert f"are stale: the weights of sam2 in {tiny} changed" in finding.message
    assert engines.loaded == ["tracker " + str(tiny)]
    as_they_are = TrackOptions(replaces=False)  # as `grain run --again` uses them
    assert ensure_tracked(spec, base, as_they_are).regions == ()
    prepared = prepare(spec, base, tracking=as_they_are)
    assert prepared.tracked.state.status == "fresh"
    assert "G358" not in {finding.code for finding in prepared.warnings}
    engines.tracker.weights = named(str(tiny), tiny)
    said.clear()
    assert ensure_tracked(spec, base, options).regions == ("left", "right")
    assert said[0] == f"the weights of sam2 in {tiny} changed"
    assert ensure_tracked(spec, base, options).regions == ()
    assert check_tracked_masks(spec, base) == []

    (tiny / "config.json").write_bytes(b"2")
    engines.tracker.weights = named(str(tiny), tiny)
    assert ensure_tracked(spec, base).regions == ("left", "right")  # as `grain run` does
    (tiny / "config.json").touch()
    assert ensure_tracked(spec, base).regions == ()

    engines.version = engines.tracker.version = "2"
    said.clear()
    assert ensure_tracked(spec, base, options).regions == ("left", "right")
    assert said[0] == "sam2 is of version 2 here; the masks are of version 1"
    assert ensure_tracked(spec, base, options).regions == ()
    shutil.rmtree(tiny)  # the masks are there without them
    assert ensure_tracked(spec, base, options).regions == ()


def test_an_engine_that_cannot_run_is_said_before_anything_is_done(
    base: Path, engines: Engines
) -> None:
    engines.why_not = "it requires torch, which is not installed: pip install torch"
    with pytest.raises(GrainError, match="G533"):
        track(base)
    assert engines.loaded == []
    assert not (base / "masks").exists()


def test_prompts_that_an_engine_does_not_take_are_said_before_it_loads(
    base: Path, engines: Engines
) -> None:
    regions = "region left = track(ellipse(4px, 6px, 16px, 18px), point(9px, 9px) @ 0)"
    with pytest.raises(GrainError, match="G535") as caught:
        track(base, regions, engines=EngineChoice(tracker="sam2"))
    assert caught.value.diagnostics[0].span.line == 4
    assert engines.loaded == []


def test_a_tracker_that_leaves_frames_out_is_a_bug(base: Path, engines: Engines) -> None:
    class Forgetful(FakeTracker):
        def track(self, frames, objects, finished):
            return (frame for frame in super().track(frames, objects, finished) if frame.index != 4)

    engines.tracker = Forgetful()
    with pytest.raises(RuntimeError, match="left out frame 4"):
        track(base)
    assert not (base / "masks" / "tracked" / "edit").exists()
