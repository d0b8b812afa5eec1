"""What a family promises of pipelines of the user, and of whole edits."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grainspec_runtime.backbones.registry import families
from grainspec_runtime.testing.family.registry import family_property, require
from grainspec_runtime.testing.family.subject import Subject


@family_property("pipelines")
def pipelines(subject: Subject) -> None:
    """A plan can be applied to a pipeline of the user, which is as before at the end."""
    if not subject.registered:
        return
    from diffusers import DiffusionPipeline

    from grainspec_runtime.applied import plan_applied

    name, plan = "pipelines", subject.plan("until 100% decay 1 phrases in_context")
    pipe = DiffusionPipeline.from_pretrained(subject.located.folder)
    pipe.set_progress_bar_config(disable=True)
    owners = [family for family in families() if family.owns(pipe)]
    require(owners == [subject.family], name, f"{[o.name for o in owners]} own its pipelines")

    def call() -> Any:
        out = pipe(
            prompt=plan.target,
            num_inference_steps=2,
            width=subject.width,
            height=subject.height,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
            **_own_arguments(pipe, subject),
        )
        return out.images if _makes_images(pipe) else out.frames[0]

    before = call()
    with plan_applied(plan, pipe):
        during = call()
    wanted = (subject.frames, subject.height, subject.width, 3)
    require(during.shape == wanted, name, f"images are {during.shape}, not {wanted}")
    require(not np.array_equal(before, during), name, "a pipeline does the same under the plan")
    require(np.array_equal(before, call()), name, "a pipeline does something else after the plan")


def _own_arguments(pipe: Any, subject: Subject) -> dict[str, Any]:
    """Return the arguments that not all pipelines have: frames, and the clip if it takes one."""
    from PIL import Image

    if _makes_images(pipe):
        return {"num_images_per_prompt": subject.latent_frames}
    needed = inspect.signature(pipe.__call__).parameters
    pictures = [Image.fromarray(frame) for frame in subject.clip]
    given = {"num_frames": subject.frames, "image": pictures[0], "video": pictures}
    return {name: value for name, value in given.items() if name in needed}


def _makes_images(pipe: Any) -> bool:
    """Return whether a pipeline makes images, as many as it is asked for, and no clip."""
    return "num_images_per_prompt" in inspect.signature(pipe.__call__).parameters


@family_property("edits")
def edits(subject: Subject) -> None:
    """A whole edit runs, and gives the same frames with a reconstruction and a study."""
    if not subject.registered:
        return
    from PIL import Image

    from grainspec_runtime.editing.editor import Editor

    clip = subject.clip
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "clip").mkdir()
        for number, frame in enumerate(clip):
            Image.fromarray(frame).save(Path(folder) / "clip" / f"{number:05}.png")
        options: tuple[dict[str, Any], ...] = ({}, {"reconstruct": True, "study": True})
        one, two = (
            Editor(subject.model, device="cpu", use_cache=False, **more).run(
                subject.spec(), base=Path(folder)
            )
            for more in options
        )
    name = "edits"
    require(
        one.edited.shape == clip.shape,
        name,
        f"edited frames are {one.edited.shape}, not {clip.shape}",
    )
    require(
        np.array_equal(one.edited, two.edited), name, "a study or a reconstruction changes the edit"
    )
    require(two.study is not None, name, "there is no study")
    require(two.reconstruction is not None, name, "there is no reconstruction")
