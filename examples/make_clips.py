"""Render the example clips and masks: `python examples/make_clips.py`.

The clips are of the demo world, at twice the demo model's frame size. Those with two figures have
eight frames, and the exact masks of the figures. three_walkers.mp4 has 17 frames and no masks:
`grain track examples/tracked.grain` makes them of three clicks.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from grainspec_runtime.demo.clips import random_clip, render_clip
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


WALKERS = random_clip(50411, ("walk",), figures=3)
"""A purple bear, a green bear and a red penguin; none passes another."""


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
            folder = HERE / "masks" / name / region
            folder.mkdir(parents=True, exist_ok=True)
            for number, (_, masks) in enumerate(rendered):
                picture = Image.fromarray(masks[mask_name].astype(np.uint8) * 255)
                picture.convert("1").save(folder / f"{number:05}.png", optimize=True)
    frames, _ = render_clip(WALKERS, SIZE, parts=False)
    encode_video(frames, HERE / "clips" / "three_walkers.mp4", fps=16)


if __name__ == "__main__":
    main()
