"""Trackers and finders with weights: loaded as true checkpoints are, and exact in their geometry."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_trackers
import torch
import transformers

from grainspec import GrainError, parse
from grainspec_runtime.models.config import read_json
from grainspec_runtime.tracking.choices import EngineChoice
from grainspec_runtime.tracking.engine import FramePrompt, TrackedFrame, TrackedObject
from grainspec_runtime.tracking.engines import needs
from grainspec_runtime.tracking.engines.pixels import upscaled
from grainspec_runtime.tracking.registry import finder_row, tracker_row

SIZES = [(100, 48), (48, 100), (97, 61), (33, 200), (320, 180)]
"""Width and height: landscape, portrait, odd, narrow, and larger than the networks' 64 pixels."""
SAVE: dict[str, Callable[[Path], Path]] = {
    "sam2": tiny_trackers.save_sam2,
    "edgetam": tiny_trackers.save_edgetam,
    "sam3": tiny_trackers.save_sam3_tracker,
    "owlv2": tiny_trackers.save_owlv2,
    "grounding_dino": tiny_trackers.save_grounding_dino,
}
CLASSES = {
    "sam2": "Sam2VideoModel",
    "edgetam": "EdgeTamVideoModel",
    "sam3": "Sam3TrackerVideoModel",
}
GEOMETRIES = [*(("sam2", size) for size in SIZES), ("edgetam", (97, 61)), ("sam3", (33, 200))]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Saves the checkpoint of an engine, once."""
    base = tmp_path_factory.mktemp("engines")
    return cache(lambda engine: SAVE[engine](base / engine))


@pytest.fixture(scope="module")
def tracker_of(folder_of: Callable[[str], Path]) -> Callable[[str], Any]:
    """Loads a tracker, once; skips where transformers has no such network."""

    @cache
    def load(engine: str) -> Any:
        if engine != "edgetam" and (reason := tracker_row(engine).why_not()):
            pytest.skip(reason)  # the tiny EdgeTAM does not need timm
        if not hasattr(transformers, CLASSES[engine]):
            pytest.skip(f"this transformers has no {CLASSES[engine]}")
        return tracker_row(engine).load(str(folder_of(engine)), "cpu")

    return load


@pytest.fixture(params=CLASSES)
def tracker(request: pytest.FixtureRequest, tracker_of: Callable[[str], Any]) -> Any:
    """Each tracker in turn."""
    return tracker_of(request.param)


class Clip:
    """Frames of noise of a size, which counts how often each is read."""

    def __init__(self, size: tuple[int, int], count: int = 6) -> None:
        self.size, self.count, self.reads = size, count, [0] * count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        self.reads[index] += 1
        width, height = self.size
        return np.random.default_rng(index).integers(0, 255, (height, width, 3), dtype=np.uint8)


class Still(Clip):
    """One picture on each frame."""

    def __init__(self, picture: np.ndarray, count: int = 1) -> None:
        super().__init__((picture.shape[1], picture.shape[0]), count)
        self.picture = picture

    def __getitem__(self, index: int) -> np.ndarray:
        return self.picture


def points(index: int, *inside: tuple[float, float], outside: Any = ()) -> FramePrompt:
    every = np.array([*inside, *outside], np.float32).reshape(-1, 2)
    positive = np.arange(len(every)) < len(inside)
    return FramePrompt(index, every, positive)


def box(index: int, left: float, top: float, right: float, bottom: float) -> FramePrompt:
    none = points(index)
    return FramePrompt(index, none.points_N2, none.positive_N, box=(left, top, right, bottom))


def mask(index: int, mask_HW: np.ndarray) -> FramePrompt:
    none = points(index)
    return FramePrompt(index, none.points_N2, none.positive_N, mask_HW=mask_HW)


def thing(*prompts: FramePrompt, name: str = "thing") -> TrackedObject:
    return TrackedObject(name, prompts)


def session_of(tracker: Any, frames: Clip, tracked: TrackedObject) -> Any:
    """The session of an object whose frames with prompts were run."""
    from grainspec_runtime.tracking.engines import sessions

    session = sessions._ObjectSession(
        tracker.network, sessions._PreparedFrames(tracker.network, frames), tracked
    )
    session.condition()
    return session


def rectangle_in(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A rectangle right of the middle and above it: left, top, right, bottom."""
    width, height = size
    return width * 5 // 8, height // 8, width * 7 // 8, height // 2


def drawn(size: tuple[int, int]) -> np.ndarray:
    """A white rectangle on black."""
    left, top, right, bottom = rectangle_in(size)
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[top:bottom, left:right] = 255
    return picture


def corner_mask(size: tuple[int, int]) -> np.ndarray:
    """An L, which is itself in no mirror and on no diagonal."""
    width, height = size
    mask_HW = np.zeros((height, width), bool)
    mask_HW[height // 8 : height * 7 // 8, width // 4 : width // 2] = True
    mask_HW[height * 5 // 8 : height * 7 // 8, width // 4 : width * 7 // 8] = True
    return mask_HW


def centre_of(weights_HW: np.ndarray) -> tuple[float, float]:
    """The centre of mass, x and y, if the centre of the first pixel is at 0.5."""
    rows, columns = np.indices(weights_HW.shape) + 0.5
    total = weights_HW.sum()
    return float((columns * weights_HW).sum() / total), float((rows * weights_HW).sum() / total)


@pytest.mark.parametrize(("engine", "size"), GEOMETRIES)
def test_a_point_is_on_its_pixel_of_what_the_network_sees(
    tracker_of: Any, engine: str, size: tuple[int, int]
) -> None:
    tracker = tracker_of(engine)
    left, top, right, bottom = rectangle_in(size)
    middle = ((left + right) / 2, (top + bottom) / 2)
    frames = Still(drawn(size))
    session = session_of(tracker, frames, thing(points(0, middle, outside=[(2.0, 1.0)])))
    inputs = session.session.point_inputs_per_obj[0][0]
    assert inputs["point_labels"].flatten().tolist() == [1, 0]
    seen = session.frames[0].sum(dim=0)
    seen = (seen - seen.min()).numpy()
    # The network adds half a pixel to points, which count the pixels of its square from 0.
    x, y = (inputs["point_coords"][0, 0, 0] + 0.5).tolist()
    assert (x, y) == pytest.approx(centre_of(seen), abs=0.05)
    side = tracker.network.side
    assert (x, y) == pytest.approx((middle[0] * side / size[0], middle[1] * side / size[1]))


@pytest.mark.parametrize(("engine", "size"), GEOMETRIES)
def test_a_box_has_the_centres_of_its_outermost_pixels(
    tracker_of: Any, engine: str, size: tuple[int, int]
) -> None:
    tracker = tracker_of(engine)
    corners = rectangle_in(size)
    session = session_of(tracker, Still(drawn(size)), thing(box(0, *map(float, corners))))
    inputs = session.session.point_inputs_per_obj[0][0]
    assert inputs["point_labels"].flatten().tolist() == [2, 3]
    found = (inputs["point_coords"][0, 0] + 0.5).flatten().tolist()
    scales = np.array([tracker.network.side / side for side in (*size, *size)])
    expected = np.array(corners) * scales + [0.5, 0.5, -0.5, -0.5]
    assert found == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize(("engine", "size"), GEOMETRIES)
def test_a_mask_comes_back_from_the_session_on_its_pixels(
    tracker_of: Any, engine: str, size: tuple[int, int]
) -> None:
    tracker = tracker_of(engine)
    given = corner_mask(size)
    session = session_of(tracker, Clip(size), thing(mask(0, given)))
    kept = session.session.output_dict_per_obj[0]["cond_frame_outputs"][0]["pred_masks"]
    cells = kept.shape[-1]
    back = upscaled(kept[0, 0], size) > 0
    wrong = float(np.mean(back.numpy() != given))
    # Its boundary is 8 sides long, of half a frame on average, and is known to half a cell.
    assert wrong < 8 * 0.5 * 0.5 / cells
    (x, y), (there_x, there_y) = centre_of(given), centre_of(back.numpy())
    assert abs(x - there_x) * cells / size[0] < 0.2
    assert abs(y - there_y) * cells / size[1] < 0.2


@pytest.mark.parametrize("cells", [4, 16])
def test_a_cell_of_a_mask_is_its_share_of_the_frame(cells: int) -> None:
    """Not moved by half a cell at the edges, as it is if the corners' centres are aligned."""
    logits = -torch.ones(cells, cells)
    logits[: cells // 4] = logits[:, : cells // 4] = 1
    inside = upscaled(logits, (120, 200)) > 0
    expected = torch.zeros(200, 120, dtype=torch.bool)
    expected[:50] = expected[:, :30] = True
    # The corner between both is round.
    assert torch.equal(inside[100:], expected[100:])
    assert torch.equal(inside[:, 60:], expected[:, 60:])


def test_a_mask_is_exactly_itself_on_its_frame(tracker: Any) -> None:
    given = corner_mask((97, 61))
    tracked = [thing(points(0, (5.0, 5.0)), name="other"), thing(mask(3, given))]
    frame = next(it for it in tracker.track(Clip((97, 61)), tracked, {}) if it.index == 3)
    assert np.array_equal(frame.labels_HW == 2, given)
    assert np.array_equal(frame.soft_KHW[1] == 255, given)
    assert frame.confidence_K[1] == 1


OBJECTS = [
    thing(points(2, (10, 20)), points(4, (12, 20), outside=[(50, 40)]), name="clicked"),
    thing(mask(4, corner_mask((100, 48))), name="painted"),
    thing(box(0, 60, 10, 90, 40), points(3, (70, 20)), name="boxed"),
]


def tracked_frames(tracker: Any, finished: Any = None) -> dict[int, TrackedFrame]:
    frames = list(tracker.track(Clip((100, 48)), OBJECTS, finished or {}))
    found = {frame.index: frame for frame in frames}
    assert len(found) == len(frames)
    return found


def test_every_frame_comes_once_and_its_objects_exclude_each_other(tracker: Any) -> None:
    found = tracked_frames(tracker)
    assert sorted(found) == list(range(6))
    for frame in found.values():
        assert frame.labels_HW.shape == (48, 100)
        assert frame.labels_HW.dtype == np.uint8
        assert frame.soft_KHW.shape == (3, 48, 100)
        assert frame.soft_KHW.sum(axis=0).max() <= 257
        assert ((frame.confidence_K >= 0) & (frame.confidence_K <= 1)).all()
        for number in (1, 2, 3):
            most = frame.soft_KHW[number - 1] == frame.soft_KHW.max(axis=0)
            assert most[frame.labels_HW == number].all()


def test_an_interrupted_track_goes_on_as_it_would_have(tracker_of: Any) -> None:
    tracker = tracker_of("sam2")
    whole = tracked_frames(tracker)
    finished = {index: whole[index] for index in (0, 2, 4, 5)}
    rest = tracked_frames(tracker, finished)
    assert sorted(rest) == [1, 3]
    for index, frame in rest.items():
        assert np.array_equal(frame.labels_HW, whole[index].labels_HW)
        assert np.array_equal(frame.soft_KHW, whole[index].soft_KHW)
        assert np.array_equal(frame.confidence_K, whole[index].confidence_K)


@pytest.mark.parametrize("reverse", [False, True])
def test_masks_are_those_of_transformers_own_propagation(tracker: Any, reverse: bool) -> None:
    """Against a session that holds the whole clip, and ``propagate_in_video_iterator``."""
    size, first = (100, 48), 5 if reverse else 0
    frames, tracked = Clip(size), thing(points(first, (10, 20)))
    network = tracker.network
    ours = session_of(tracker, frames, tracked)
    stock = network.processor.init_video_session()
    stock.processed_frames = {index: ours.frames[index] for index in range(6)}
    x, y = 10 - 0.5 * size[0] / network.side, 20 - 0.5 * size[1] / network.side
    network.processor.add_inputs_to_inference_session(
        stock, first, 1, input_points=[[[[x, y]]]], input_labels=[[[1]]], original_size=(48, 100)
    )
    network.model(stock, frame_idx=first)
    outputs = network.model.propagate_in_video_iterator(stock, first, reverse=reverse)
    count = 0
    for output in outputs:
        mask = ours.run(output.frame_idx, reverse=reverse)
        assert torch.equal(mask.logits_hw, output.pred_masks.reshape(mask.logits_hw.shape))
        count += 1
    assert count == 6


def test_a_long_clip_needs_no_more_memory_and_reads_each_frame_once(tracker: Any) -> None:
    from grainspec_runtime.tracking.engines import sessions

    frames = Clip((40, 30), 20)
    made: list[Any] = []
    init = sessions._ObjectSession.__post_init__

    def remember(session: Any) -> None:
        init(session)
        made.append(session)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracker.network.model.config, "max_object_pointers_in_encoder", 4)
        patch.setattr(tracker.network.model.config, "num_maskmem", 3)
        patch.setattr(sessions._ObjectSession, "__post_init__", remember)
        both = [thing(points(0, (5, 5)), name="a"), thing(points(0, (30, 20)), name="b")]
        for frame in tracker.track(frames, both, {}):
            if frame.index == 19:
                held = [session.session.output_dict_per_obj[0] for session in made]
                assert len(held) == 2
                for outputs in held:
                    assert len(outputs["non_cond_frame_outputs"]) <= 5
                    kept = [*outputs["non_cond_frame_outputs"].values()]
                    assert not any("high_res_masks" in output for output in kept)
    assert max(frames.reads[1:]) == 1


def test_a_later_point_corrects_what_was_tracked(tracker: Any) -> None:
    """A point outside the object says nothing by itself: the network needs its memory there."""
    frames = Clip((100, 48))
    plain = session_of(tracker, frames, thing(points(0, (10, 20))))
    corrected = session_of(
        tracker, frames, thing(points(0, (10, 20)), points(3, outside=[(80.0, 30.0)]))
    )
    kept = corrected.session.output_dict_per_obj[0]["cond_frame_outputs"]
    assert sorted(kept) == [0, 3]
    for index in range(1, 4):
        before = plain.run(index)
    assert not torch.equal(before.logits_hw, corrected.run(3).logits_hw)


def code_of(call: Callable[[], Any]) -> str:
    with pytest.raises(GrainError) as raised:
        call()
    return raised.value.diagnostics[0].code


def test_what_a_tracker_cannot_take_is_said(tracker: Any) -> None:
    both = FramePrompt(
        0, np.array([[1, 1]], np.float32), np.array([True]), mask_HW=corner_mask((100, 48))
    )
    only_outside = points(0, outside=[(1.0, 1.0)])
    for prompt in (both, only_outside):
        track = tracker.track(Clip((100, 48)), [thing(prompt)], {})
        assert code_of(lambda track=track: next(track)) == "G535"


def test_a_checkpoint_for_another_engine_is_refused(
    folder_of: Any, tracker_of: Any, tmp_path: Path
) -> None:
    tracker_of("sam2")
    load = tracker_row("sam2").load
    assert code_of(lambda: load(str(folder_of("owlv2")), "cpu")) == "G534"
    with pytest.raises(GrainError, match="G502: the folder of the `sam2` model does not exist: /"):
        load(str(tmp_path / "nowhere"), "cpu")
    (tmp_path / "config.json").write_text((folder_of("sam2") / "config.json").read_text())
    assert code_of(lambda: load(str(tmp_path), "cpu")) == "G502"
    (tmp_path / "model.bin").write_bytes(b"PK")
    assert code_of(lambda: load(str(tmp_path), "cpu")) == "G502"


def test_loading_shows_no_bar_of_its_own(
    folder_of: Any, tracker_of: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    tracker_of("sam2")
    capfd.readouterr()
    logging.enable_progress_bar()
    tracker_row("sam2").load(str(folder_of("sam2")), "cpu")
    assert "Loading" not in capfd.readouterr().err
    assert logging.is_progress_bar_enabled()


def test_weights_that_are_missing_are_not_random(
    folder_of: Any, tracker_of: Any, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    tracker_of("sam2")
    state = load_file(folder_of("sam2") / "model.safetensors")
    state.pop("no_memory_embedding")
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text((folder_of("sam2") / "config.json").read_text())
    assert code_of(lambda: tracker_row("sam2").load(str(tmp_path), "cpu")) == "G502"


def test_weights_are_named_with_their_fingerprint(tracker_of: Any, folder_of: Any) -> None:
    weights = tracker_of("sam2").weights
    assert weights.startswith(f"{folder_of('sam2')} hash:")
    assert weights != tracker_of("edgetam").weights


def test_versions_are_known_without_loading(tracker: Any) -> None:
    assert tracker_row(tracker.name).version() == tracker.version


def test_without_a_network_default_weights_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    def offline(*_: Any, **__: Any) -> None:
        raise huggingface_hub.errors.OfflineModeIsEnabled("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    for row in (finder_row("owlv2"), tracker_row("sam2"), tracker_row("sam3")):
        if row.why_not():
            continue
        with pytest.raises(GrainError, match="G503") as raised:
            row.load(row.checkpoint, "cpu")
        cure = raised.value.diagnostics[0].cure
        assert ("hf auth login" in cure) == ("gated" in row.licence)


def test_the_licence_of_weights_is_said_before_they_are_downloaded(tmp_path: Path) -> None:
    clicked = "region a = track(point(1px, 1px)) tracker sam3"
    text = f'grain 1 video "c" target "a red man" {clicked} finder owlv2 edit a -> "man"'
    said = EngineChoice().downloads(parse(text), tmp_path, finder=True)
    assert "not for military" in said[0]
    assert ["SAM License" in said[0], "Apache-2.0" in said[1], len(said)] == [True, True, 2]
    own = text.replace("finder owlv2", 'finder owlv2 { weights "somebody/owl" }')
    assert "see its page" in EngineChoice().downloads(parse(own), tmp_path, finder=True)[1]
    (tmp_path / "here").mkdir()
    local = own.replace("somebody/owl", "here")
    assert len(EngineChoice().downloads(parse(local), tmp_path, finder=True)) == 1


def test_an_old_transformers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "version", lambda name: "4.48.0")
    assert "4.56 or later; 4.48.0 is installed" in tracker_row("sam2").why_not()
    assert "5.1 or later" in tracker_row("sam3").why_not()
    assert finder_row("owlv2").why_not() == ""
    with pytest.raises(GrainError, match="G533") as raised:
        tracker_row("edgetam").load("anything", "cpu")
    assert "pip install 'transformers>=4.57'" in raised.value.diagnostics[0].cure


def test_a_faulty_transformers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "version", lambda name: "5.0.0")
    for engine in ("sam2", "edgetam"):
        assert tracker_row(engine).why_not().endswith("pip install 'transformers>=5.1'")
    assert finder_row("grounding_dino").why_not() == ""


def test_published_configurations_are_accepted(tmp_path: Path) -> None:
    names = ["Sam2VideoConfig", "EdgeTamVideoConfig", "Sam3VideoConfig", "GroundingDinoConfig"]
    for name in [*names, "Owlv2Config"]:
        if hasattr(transformers, name):
            getattr(transformers, name)().save_pretrained(tmp_path)
            assert read_json(tmp_path / "config.json")["model_type"]


def seen_box(pixels_chw: torch.Tensor) -> torch.Tensor:
    """Where the white rectangle is in what a network sees: its centre and size, as shares."""
    height, width = pixels_chw.shape[-2:]
    light = pixels_chw.sum(dim=0)
    light = ((light - light.min()) / (light.max() - light.min())).double().numpy()
    x, y = centre_of(light)
    # A box of light as wide and high as the sums over rows and columns say
    area, wide = light.sum(), light.sum(axis=1).max()
    return torch.tensor([x / width, y / height, wide / width, area / wide / height])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("engine", ["owlv2", "grounding_dino"])
def test_a_box_is_found_in_source_pixels(
    folder_of: Any, engine: str, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is replaced by one that says where the rectangle is in its own input."""
    finder = finder_row(engine).load(str(folder_of(engine)), "cpu")
    asked: dict[str, torch.Tensor] = {}

    def forward(**inputs: torch.Tensor) -> SimpleNamespace:
        asked.update(inputs)
        found = seen_box(inputs["pixel_values"][0]).float()
        return SimpleNamespace(logits=torch.tensor([[[2.0, 1.0]]]), pred_boxes=found[None, None])

    monkeypatch.setattr(finder.model, "forward", forward)
    detections = finder.find(drawn(size), "Man in red.")
    assert len(detections) == 1
    coarseness = max(size) / min(asked["pixel_values"].shape[-2:])
    assert detections[0].box == pytest.approx(rectangle_in(size), abs=0.25 * max(1, coarseness))
    assert detections[0].score == pytest.approx(0.8808, abs=1e-4)
    assert int(asked["input_ids"].ne(0).sum()) > 3


def test_boxes_are_those_of_transformers_own_postprocessing(folder_of: Any) -> None:
    import PIL.Image

    frame = Clip((100, 48))[0]
    finder = finder_row("grounding_dino").load(str(folder_of("grounding_dino")), "cpu")
    inputs = finder.processor(
        images=PIL.Image.fromarray(frame), text="man in red.", return_tensors="pt"
    )
    with torch.inference_mode():
        outputs = finder.model(**inputs)
    stock = finder.processor.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], 0.0, 0.0, [(48, 100)]
    )[0]
    boxes = stock["boxes"].numpy().clip(0, [100, 48, 100, 48])
    found = finder.find(frame, "Man in red")
    assert found
    assert found[0].score == pytest.approx(float(stock["scores"].max()), abs=1e-5)
    for detection in found:
        assert np.abs(boxes - np.array(detection.box)).max(axis=1).min() < 1e-3


def test_one_object_is_found_once() -> None:
    from grainspec_runtime.tracking.engines.detections import best_detections

    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 99, 10], [3, 3, 3, 9]], np.float32)
    scores = np.array([0.5, 0.9, 0.3, 0.99], np.float32)
    found = best_detections(boxes, scores, (40, 10))
    assert [detection.box for detection in found] == [(1, 0, 11, 10), (20, 0, 40, 10)]


def test_sam3_finds_with_masks(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    folder = tiny_trackers.save_sam3(tmp_path)
    frame = Clip((97, 61))[0]
    finder = finder_row("sam3").load(str(folder), "cpu")
    found = finder.find(frame, "man in red")
    assert found
    assert found[0].mask_HW.shape == (61, 97)
    assert tracker_row("sam3").load(str(folder), "cpu").name == "sam3"
    settings = json.loads((folder / "config.json").read_text())
    assert settings["model_type"] == "sam3_video"
