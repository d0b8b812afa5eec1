"""Places and small clips that tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


class ClipFolder:
    """A folder with a clip of grey frames, masks `left` and `right`, and specs over them."""

    def __init__(self, root: Path, frames: int = 4, size: tuple[int, int] = (64, 48)) -> None:
        self.root, self.frames, self.size = root, frames, size
        (root / "clip").mkdir()
        rng = np.random.default_rng(0)
        for number in range(frames):
            noise = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / "clip" / f"{number:05}.png")
        half = size[0] // 2
        self.write_masks("left", [self.mask(0, 0, half, size[1])] * frames)
        self.write_masks("right", [self.mask(half, 0, size[0], size[1])] * frames)

    def mask(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """A bool mask with one box set."""
        found = np.zeros((self.size[1], self.size[0]), bool)
        found[y0:y1, x0:x1] = True
        return found

    def write_masks(self, name: str, masks: list[np.ndarray]) -> None:
        (self.root / name).mkdir(exist_ok=True)
        for number, mask in enumerate(masks):
            picture = Image.fromarray(mask.astype(np.uint8) * 255)
            picture.save(self.root / name / f"{number:05}.png")

    def spec_text(self, **replaced: str) -> str:
        """A spec over this clip; ``replaced`` changes its statements by keyword."""
        parts = {
            "video": 'video "clip" { size 64x48 }',
            "source": "",
            "target": 'target "a green robot and a yellow bear"',
            "regions": 'region left = masks("left")\nregion right = masks("right")',
            "edits": 'edit left -> "green robot"\nedit right -> "yellow bear"',
            "settings": "",
        }
        parts.update(replaced)
        return "grain 1\n" + "\n".join(part for part in parts.values() if part) + "\n"
