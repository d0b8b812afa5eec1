"""Render the example clips and masks: `python examples/make_clips.py`.

The clips are of the demo world, at twice the demo models' frame size. Those of figures that jog on
the spot have eight frames. crossing.mp4, in which two men pass each other, and three_walkers.mp4
have 17. All have the exact masks of their figures but three_walkers.mp4, for which `grain track
examples/tracked.grain` makes masks of three clicks.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from grainspec_runtime.demo.clips import ClipScene, Motion, random_clip, render_clip
from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.world import Figure, Scene, advance
from grainspec_runtime.media.encode import encode_video

FRAMES, SIZE = 8, 192
HERE = Path(__file__).parent

CLIPS = {
    "two_men": Scene(
        (
            Figure("man", "red", x=0.28, height=0.68, phase=0.3),
            Figure("man", "blue", x=0.72, height=0.66, phase=1.5),
        ),
        "green trees",
        "grass",
    ),
    "two_cats": Scene(
        (
            Figure("cat", "white", x=0.29, height=0.66, phase=0.9),
            Figure("cat", "brown", x=0.71, height=0.68, phase=2.4, facing=-1),
        ),
        "mountains",
        "sand",
    ),
    "two_bears": Scene(
        (
            Figure("bear", "purple", x=0.28, height=0.7, phase=0.0),
            Figure("bear", "orange", x=0.72, height=0.68, phase=1.1),
        ),
        "autumn trees",
        "road",
    ),
}


CROSSING = ClipScene(
    Scene(
        (
            Figure("man", "red", x=0.28, feet=0.93, height=0.64, phase=0.4),
            Figure("man", "blue", x=0.72, feet=0.87, height=0.61, phase=2.0, facing=-1),
        ),
        "mountains",
        "grass",
    ),
    motions=(Motion(swing=0.24, stride=0.0275), Motion(swing=0.24, stride=0.0275)),
    kind="cross",
)
"""A man in red passes before a man in blue."""

WALKERS = random_clip(50411, ("walk",), figures=3)
"""A purple bear, a green bear and a red penguin; none passes another."""


def write_masks(clip: str, region: str, masks: Iterable[np.ndarray]) -> None:
    """Write bool masks ``[H, W]`` as black and white pictures, one per frame."""
    folder = HERE / "masks" / clip / region
    folder.mkdir(parents=True, exist_ok=True)
    for number, mask in enumerate(masks):
        picture = Image.fromarray(mask.astype(np.uint8) * 255)
        picture.convert("1").save(folder / f"{number:05}.png", optimize=True)


def main() -> None:
    """Write clips/NAME.mp4 and masks/NAME/{left,right,ground}/00000.png … for every clip."""
    (HERE / "clips").mkdir(exist_ok=True)
    for name, scene in CLIPS.items():
        rendered = [render(advance(scene, frame), SIZE) for frame in range(FRAMES)]
        frames = np.stack([frame for frame, _ in rendered])
        encode_video(frames, HERE / "clips" / f"{name}.mp4", fps=8)
        for region, mask_name in (
            ("left", "figure0"),
            ("right", "figure1"),
            ("ground", "ground"),
        ):
            write_masks(name, region, [masks[mask_name] for _, masks in rendered])
    frames, masks = render_clip(CROSSING, SIZE, parts=False)
    encode_video(frames, HERE / "clips" / "crossing.mp4", fps=16)
    write_masks("crossing", "red", masks["figure0"])
    write_masks("crossing", "blue", masks["figure1"])
    frames, _ = render_clip(WALKERS, SIZE, parts=False)
    encode_video(frames, HERE / "clips" / "three_walkers.mp4", fps=16)


if __name__ == "__main__":
    main()
