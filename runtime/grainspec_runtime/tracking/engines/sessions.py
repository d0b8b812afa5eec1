"""Track with a network of SAM 2's kind, in video sessions of transformers.

Such a network (Ravi et al., "SAM 2", 2024) makes a mask from points, a box or a mask on one frame,
and encodes it as a memory. On further frames it attends to the memories of the frames that have
prompts and of the last six, in either direction of time.

Each object has its own session: transformers runs one object after the other in any case, and a
session of several would mix their kinds of prompts. Frames are read when a session asks for them,
and their features are computed once for all objects. Objects exclude each other at the end, where
each pixel goes to the largest logit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.tracking.engine import (
    FramePrompt,
    FrameReader,
    TrackedFrame,
    TrackedObject,
)
from grainspec_runtime.tracking.engines.pixels import (
    certain,
    network_pixels,
    prompt_box,
    prompt_points,
    tracked_frame,
    upscaled,
)


@dataclass(frozen=True)
class SessionNetwork:
    """A network of SAM 2's kind, and how its frames and prompts are prepared.

    processor: has ``init_video_session`` and ``add_inputs_to_inference_session``. side: of the
    square that it sees.
    """

    model: Any
    processor: Any
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        device: torch.device = next(self.model.parameters()).device
        return device


@dataclass(frozen=True)
class SessionTracker:
    """A tracker whose masks come from video sessions of transformers."""

    name: str
    weights: str
    version: str
    network: SessionNetwork

    def track(
        self,
        frames: FrameReader,
        objects: Sequence[TrackedObject],
        finished: Mapping[int, TrackedFrame],
    ) -> Iterator[TrackedFrame]:
        """Yield the frames that are not finished; see :class:`Tracker`.

        From its first prompt on, an object is tracked forwards, and before it, backwards. Later
        prompts are memories for both. The confidence is the probability that the network gives to
        the object being visible, times the IoU that it predicts for its mask. Raises GrainError
        (G535) for a frame on which an object has both a mask and points.
        """
        check_prompts(self.name, objects)
        missing = [index for index in range(len(frames)) if index not in finished]
        if not missing:
            return
        prepared = _PreparedFrames(self.network, frames)
        sessions = [_ObjectSession(self.network, prepared, it) for it in objects]
        for session in sessions:
            session.share_features(sessions[0])
            session.condition()
        last = max(session.first for session in sessions)
        waiting: dict[int, dict[int, _Mask]] = {index: {} for index in missing}

        def step(index: int, reverse: bool) -> Iterator[TrackedFrame]:
            for number, session in enumerate(sessions):
                if (index < session.first) == reverse:
                    mask = session.run(index, reverse=reverse)
                    if index in waiting:
                        waiting[index][number] = mask
            if len(waiting.get(index, ())) == len(sessions):
                masks = waiting.pop(index)
                yield _decided(index, [masks[number] for number in sorted(masks)], frames.size)

        for index in range(min(session.first for session in sessions), max(missing) + 1):
            yield from step(index, False)
        for session in sessions:
            session.forget()
        for index in range(last - 1, min(missing) - 1, -1):
            yield from step(index, True)


def check_prompts(engine: str, objects: Sequence[TrackedObject]) -> None:
    """Raise GrainError (G535) for prompts that the networks of SAM 2's kind do not take."""
    for tracked in objects:
        for prompt in tracked.prompts:
            if prompt.mask_HW is not None and len(prompt.points_N2):
                message = (
                    f"`{engine}` takes a mask or points of `{tracked.name}` on a frame, not both"
                )
                cure = "Give the points on another frame, or repair the mask where they are."
                raise fail("G535", message, cure)
        first = tracked.prompts[0]
        if first.mask_HW is None and first.box is None and not first.positive_N.any():
            message = f"`{tracked.name}` has only points outside it on its first frame"
            raise fail("G535", message, "Add a point inside it: `point(…)`.")


@dataclass(frozen=True)
class _Mask:
    """Logits of an object on a frame, ``[h, w]`` for the whole frame, and the confidence."""

    logits_hw: Tensor
    confidence: float


def _decided(index: int, masks: Sequence[_Mask], size: tuple[int, int]) -> TrackedFrame:
    logits_KHW = torch.stack([upscaled(mask.logits_hw, size) for mask in masks])
    return tracked_frame(index, logits_KHW, [mask.confidence for mask in masks])


class _PreparedFrames:
    """The frames of a session, prepared when it asks for them; the last one is kept.

    A session that holds its frames needs 12 MB for each (float32, 3 × 1024 × 1024).
    """

    def __init__(self, network: SessionNetwork, frames: FrameReader) -> None:
        self.network, self.frames = network, frames
        self._last: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Tensor:
        if self._last is None or self._last[0] != index:
            network = self.network
            square = (network.side, network.side)
            pixels = network_pixels(self.frames[index], square, network.mean, network.std)
            self._last = index, pixels
        return self._last[1]


@dataclass
class _ObjectSession:
    """The session of one object."""

    network: SessionNetwork
    frames: _PreparedFrames
    tracked: TrackedObject
    _confidence: dict[int, float] = field(default_factory=dict)
    """Of the frames with prompts, whose masks the session keeps."""

    def __post_init__(self) -> None:
        device = self.network.device
        self.prompts = {prompt.index: prompt for prompt in self.tracked.prompts}
        self.first = min(self.prompts)
        self.session = self.network.processor.init_video_session(
            inference_device=device, inference_state_device=device
        )
        self.session.processed_frames = self.frames

    def share_features(self, other: _ObjectSession) -> None:
        """Use the features of frames that another object's session has computed."""
        self.session.cache = other.session.cache

    def condition(self) -> None:
        """Make the masks of the frames with prompts, which are the memories of all others.

        A box, a mask, and the first points say by themselves what the object is. Later points
        correct what the network makes of the frame, so it is tracked up to them first.
        """
        corrections = {
            index
            for index, prompt in self.prompts.items()
            if index > self.first and prompt.box is None and prompt.mask_HW is None
        }
        through = range(self.first, max(corrections, default=self.first) + 1)
        for index in sorted({*self.prompts, *through}):
            if index in self.prompts:
                self._add(self.prompts[index])
            if index in corrections:  # a tracked frame, to which prompts are added
                self.session.frames_tracked_per_obj[0][index] = {"reverse": False}
            mask = self.run(index)
            if index in self.prompts:
                self._confidence[index] = mask.confidence
            if index in corrections:
                outputs = self.session.output_dict_per_obj[0]
                corrected = outputs["non_cond_frame_outputs"].pop(index)
                outputs["cond_frame_outputs"][index] = corrected
        self.forget()

    def forget(self) -> None:
        """Forget the frames that have no prompts: a pass does not depend on those before it."""
        self.session.output_dict_per_obj[0]["non_cond_frame_outputs"].clear()
        self.session.frames_tracked_per_obj[0].clear()

    def _add(self, prompt: FramePrompt) -> None:
        size, side = self.frames.frames.size, self.network.side
        inputs: dict[str, Any] = {}
        if prompt.mask_HW is not None:
            inputs["input_masks"] = prompt.mask_HW
        if prompt.box is not None:
            inputs["input_boxes"] = [[prompt_box(prompt.box, size, side)]]
        if len(prompt.points_N2):
            inputs["input_points"] = [[prompt_points(prompt.points_N2, size, side)]]
            inputs["input_labels"] = [[prompt.positive_N.astype(int).tolist()]]
        self.network.processor.add_inputs_to_inference_session(
            self.session, prompt.index, [1], original_size=(size[1], size[0]), **inputs
        )

    def run(self, index: int, *, reverse: bool = False) -> _Mask:
        """Make the mask of the next frame in a direction, or of one with a prompt."""
        decoded: list[tuple[Tensor, ...]] = []
        hook = self.network.model.mask_decoder.register_forward_hook(
            lambda module, arguments, outputs: decoded.append(outputs)
        )
        try:
            output = self.network.model(self.session, frame_idx=index, reverse=reverse)
        finally:
            hook.remove()
        self._prune(index)
        prompt = self.prompts.get(index)
        if prompt is not None and prompt.mask_HW is not None:
            return _Mask(certain(prompt.mask_HW), 1.0)
        confidence = self._confidence.get(index, 0.0)
        if decoded:  # not for a frame with prompts, whose mask the session has kept
            _, ious, _, visible = decoded[-1]
            confidence = float(visible.sigmoid().max() * ious.max().clamp(0, 1))
        return _Mask(output.pred_masks.reshape(output.pred_masks.shape[-2:]).cpu(), confidence)

    def _prune(self, index: int) -> None:
        """Drop what the network does not read again, which would be 6 MB a frame."""
        config = self.network.model.config
        reach = max(config.num_maskmem, config.max_object_pointers_in_encoder)
        outputs = self.session.output_dict_per_obj[0]
        for kind in outputs.values():
            kind.get(index, {}).pop("high_res_masks", None)
        tracked = outputs["non_cond_frame_outputs"]
        for far in [other for other in tracked if abs(other - index) > reach]:
            del tracked[far]
