"""SAM 2.1 and EdgeTAM: trackers from points, boxes and masks, through transformers' classes.

"SAM 2: Segment Anything in Images and Videos" (Ravi et al., 2024); "EdgeTAM: On-Device Track
Anything Model" (Zhou et al., 2025).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grainspec_runtime.tracking.engine import EngineRow, Tracker
from grainspec_runtime.tracking.engines.needs import engine_version, lacks, require

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB."""
_TIMM = ("timm", "torchvision")
"""What EdgeTAM's backbone, RepViT, needs: it is timm's, which needs torchvision."""
_REVISION = "1"
"""Changes whenever this module or ``sessions`` may make other masks of the same input."""


def session_version() -> str:
    """The version of :func:`session_tracker`."""
    return engine_version(_REVISION)


def session_tracker(
    engine: str,
    checkpoint: Any,
    model: Any,
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = _IMAGENET,
) -> Tracker:
    """A tracker of a loaded network of SAM 2's kind."""
    from grainspec_runtime.tracking.engines.sessions import SessionNetwork, SessionTracker

    side = int(model.config.image_size)
    mean, std = checkpoint.normalization(*normalization)
    network = SessionNetwork(model, _prompt_processor(side), side, mean, std)
    return SessionTracker(engine, checkpoint.weights, session_version(), network)


def _prompt_processor(side: int) -> Any:
    """transformers' own processor without its image processors, which need torchvision.

    Only its sessions and prompts are used; frames are prepared by ``pixels``.
    """
    from transformers import Sam2VideoProcessor

    class PromptProcessor(Sam2VideoProcessor):  # type: ignore[misc]
        def __init__(self) -> None:
            self.target_size, self.point_pad_value = side, -10

    return PromptProcessor()


def _loader(
    engine: str, class_name: str, kind: str, transformers_since: tuple[int, int]
) -> Callable[[str, str | None], Tracker]:
    def load(name: str, device: str | None) -> Tracker:
        require(engine, lacks(transformers_since, video=True))
        import transformers

        from grainspec_runtime.tracking.engines.checkpoints import find_checkpoint, load_network

        checkpoint = find_checkpoint(engine, name, [kind])
        if checkpoint.uses_timm:
            require(engine, lacks(transformers_since, *_TIMM, video=True))
        model = load_network(checkpoint, getattr(transformers, class_name), device)
        return session_tracker(engine, checkpoint, model)

    return load


TRACKER = EngineRow[Tracker](
    name="sam2",
    checkpoint="facebook/sam2.1-hiera-tiny",
    licence="Apache-2.0",  # "model checkpoints", says github.com/facebookresearch/sam2
    why_not=lambda: lacks((4, 56), video=True),
    load=_loader("sam2", "Sam2VideoModel", "sam2_video", (4, 56)),
    version=session_version,
)
TRACKER_EDGETAM = EngineRow[Tracker](
    name="edgetam",
    checkpoint="yonigozlan/EdgeTAM-hf",
    # Converted from github.com/facebookresearch/EdgeTAM, whose "checkpoints and code" have it.
    licence="Apache-2.0",
    why_not=lambda: lacks((4, 57), *_TIMM, video=True),
    load=_loader("edgetam", "EdgeTamVideoModel", "edgetam_video", (4, 57)),
    version=session_version,
)
