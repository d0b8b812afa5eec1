"""Generate an image with each phrase in its own region, using a stock diffusers pipeline.

    python examples/text_to_image.py -o bound.png

Generates two images from the same noise: one with the plain pipeline, and one with the plan of a
spec applied. The spec is an editing spec; here only the size of its clip and its regions matter.
For another checkpoint, compile the plan for its folder and load the pipeline from that folder.
"""

import argparse
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

import grainspec
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime import plan_applied
from grainspec_runtime.backbones.registry import describe
from grainspec_runtime.models.locate import DEMO_FOLDER

HERE = Path(__file__).parent
SPEC = """
grain 1
video "clips/two_men.mp4" { frames 0..0  size 96x96 }
target "a green robot and a yellow bear on grass before green trees"
region left  = box(10%, 15%, 45%, 90%)
region right = box(55%, 15%, 90%, 90%)
edit instance left  -> "green robot"
edit instance right -> "yellow bear"
"""


def compiled() -> MaskPlan:
    """Compile the spec for the demo model and one frame."""
    spec = grainspec.parse(SPEC)
    return grainspec.compile(spec, grainspec.bind(spec, base=HERE).edits, describe("demo", HERE))


def draw(pipe: StableDiffusionPipeline, plan: MaskPlan, seed: int) -> Image.Image:
    """Generate an image of the plan's target prompt with the pipeline in its current state."""
    return pipe(
        plan.target,
        width=plan.width,
        height=plan.height,
        num_inference_steps=30,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(seed),
    ).images[0]


def main() -> None:
    """Generate an image without the plan and one with it, and put them side by side."""
    parser = argparse.ArgumentParser(description="Text to image with phrases in their regions.")
    parser.add_argument("-o", "--output", type=Path, default=Path("text_to_image.png"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    plan = compiled()
    pipe = StableDiffusionPipeline.from_pretrained(DEMO_FOLDER)
    pictures = [draw(pipe, plan, arguments.seed)]
    with plan_applied(plan, pipe):
        pictures.append(draw(pipe, plan, arguments.seed))
    both = Image.new("RGB", (2 * plan.width, plan.height))
    for place, picture in enumerate(pictures):
        both.paste(picture, (place * plan.width, 0))
    both.save(arguments.output)
    print(f"wrote {arguments.output}: without the plan, and with it")


if __name__ == "__main__":
    main()
