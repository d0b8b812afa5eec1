"""Run diffusers' own tests of its pipelines under a plan, and compare with running them plainly.

    git clone --depth 1 --branch v0.40.0 https://github.com/huggingface/diffusers
    python runtime/benchmarks/diffusers_under_plan.py diffusers

The tests run twice. The second time, each call of a pipeline runs in a block of ``plan_applied``,
with a plan for its own prompt, size and number of images, and strengths of zero: it must return
what it returns without. Whatever passes plainly passes under the plan, or the plan is refused with
a coded reason; anything else is printed, and the exit status is then 1.

Tests that load the tokenizer of `hf-internal-testing/tiny-random-clip` get the demo's in its place,
so that no network is needed; those that compare with stored pictures then fail in both runs and
are not counted. Use the release of diffusers that is nearest to the installed one; its tests need
the packages `parameterized` and `requests-mock`.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTokenizer

from grainspec import GrainError, parse
from grainspec.model.spec import Size
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec.text.kinds import quoted
from grainspec_runtime import plan_applied
from grainspec_runtime.models.locate import DEMO_FOLDER
from grainspec_runtime.models.tokenize import token_spans

TESTS = (
    "stable_diffusion/test_stable_diffusion.py",
    "stable_diffusion/test_stable_diffusion_img2img.py",
    "stable_diffusion/test_stable_diffusion_inpaint.py",
    "stable_diffusion/test_stable_diffusion_instruction_pix2pix.py",
    "stable_diffusion_2/test_stable_diffusion_depth.py",
    "stable_diffusion_adapter/test_stable_diffusion_adapter.py",
    "stable_diffusion_xl/test_stable_diffusion_xl.py",
    "stable_diffusion_xl/test_stable_diffusion_xl_img2img.py",
    "stable_diffusion_xl/test_stable_diffusion_xl_inpaint.py",
    "controlnet/test_controlnet.py",
    "controlnet/test_controlnet_img2img.py",
    "controlnet/test_controlnet_inpaint.py",
    "controlnet/test_controlnet_sdxl.py",
    "controlnet/test_controlnet_sdxl_img2img.py",
    "latent_consistency_models/test_latent_consistency_models.py",
    "pag/test_pag_sd.py",
)
REMOTE_TOKENIZER = "hf-internal-testing/tiny-random-clip"
SETTINGS = "cross 0 self 0 frames each norm each phrases in_context levels 0..{last} until 100%"


class _Stopped(Exception):
    """Stops a call where it would run the UNet."""


class UnderPlan:
    """Wraps the calls of all pipelines with a UNet, and counts the plans that were refused."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}  # the reason, by test
        self.planned = 0

    def wrap(self, kind: type[DiffusionPipeline]) -> None:
        """Run the calls of a pipeline class under a plan from now on."""
        plain = kind.__call__

        @functools.wraps(plain)
        def call(pipe: Any, *args: Any, **kwargs: Any) -> Any:
            return self._call(plain, pipe, args, kwargs)

        kind.__call__ = call

    def _call(
        self, plain: Callable[..., Any], pipe: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        prompt = kwargs.get("prompt", args[0] if args else None)
        target = prompt[0] if isinstance(prompt, list) and prompt else prompt
        shape = _latents_of(plain, pipe, args, kwargs)
        if shape is None:  # the call itself is wrong, as many tests want it
            return plain(pipe, *args, **kwargs)
        try:
            plan = zero_plan(pipe, target or "a picture", *shape)
            with plan_applied(plan, pipe, trust_embeds=prompt is None):
                result = plain(pipe, *args, **kwargs)
        except GrainError as error:
            self.refused[os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]] = str(error)
            pytest.skip(f"refused: {error}")
        self.planned += 1
        return result


def _latents_of(
    plain: Callable[..., Any], pipe: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[int, int, int] | None:
    """Return the images, rows and columns of a call; None if it never runs the UNet."""
    seen: list[tuple[int, int, int]] = []

    def stop(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sample = args[0] if args else kwargs["sample"]
        passes = 2 if pipe.do_classifier_free_guidance else 1
        seen.append((len(sample) // passes, *sample.shape[-2:]))
        raise _Stopped

    if not isinstance(getattr(pipe, "unet", None), UNet2DConditionModel):
        return None
    hook = pipe.unet.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with _same_randomness([*args, *kwargs.values()]):
            plain(pipe, *args, **kwargs)
    except Exception:  # what the call raises is raised again when it runs
        pass
    finally:
        hook.remove()
    return seen[0] if seen else None


@contextmanager
def _same_randomness(arguments: list[Any]) -> Iterator[None]:
    """Restore the states of all generators of random numbers at the end of the block."""
    generators = [
        generator
        for argument in arguments
        for generator in (argument if isinstance(argument, list) else [argument])
        if isinstance(generator, torch.Generator)
    ]
    states = [generator.get_state() for generator in generators]
    shared = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        torch.set_rng_state(shared[0])
        random.setstate(shared[1])
        np.random.set_state(shared[2])


def zero_plan(pipe: Any, target: str, frames: int, rows: int, columns: int) -> MaskPlan:
    """Compile a plan with strengths of zero for a pipeline, a prompt, and latents of this size."""
    unit = pipe.vae_scale_factor
    config = pipe.unet.config
    levels = len(config.block_out_channels)
    tokenizer = next(
        (part for name in ("tokenizer", "tokenizer_2") if (part := getattr(pipe, name, None))),
        None,
    )
    if tokenizer is None:  # the call has embeddings for its prompt
        tokenizer = CLIPTokenizer.from_pretrained(REMOTE_TOKENIZER)
    backbone = Backbone(
        name="demo",
        pixels_per_latent=unit,
        level_count=levels,
        max_tokens=tokenizer.model_max_length,
        training_steps=pipe.scheduler.config.get("num_train_timesteps", 1000),
        native_size=Size(width=columns * unit, height=rows * unit),
        tokenize=lambda text: token_spans(tokenizer, text),
    )
    words = re.findall(r"\w+", target)
    spec = parse(
        f'grain 1 video "clip" target {quoted(target)} region left = all '
        f"edit left -> {quoted(words[0])} attention {{ {SETTINGS.format(last=levels - 1)} }}"
    )
    mask = np.zeros((frames, rows * unit, columns * unit), bool)
    mask[:, :, : columns * unit // 2] = True
    return compile_plan(spec, Layout.of({"left": mask}), backbone).plan


class Outcomes:
    """A pytest plugin that keeps the outcome of every test, and runs none but those in ``only``."""

    def __init__(self, only: set[str] | None = None) -> None:
        self.only = only
        self.of: dict[str, str] = {}
        self.why: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop the tests that are not to run."""
        if self.only is not None:
            items[:] = [item for item in items if item.nodeid in self.only]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test's outcome: of its call, or of a failed set-up."""
        if report.when == "call" or report.outcome != "passed":
            if self.of.get(report.nodeid) != "failed":
                self.of[report.nodeid] = report.outcome
            if report.failed:
                self.why[report.nodeid] = report.longreprtext.strip().splitlines()[-1]


def run(checkout: Path, tests: list[str], words: str, outcomes: Outcomes) -> Outcomes:
    """Run tests of a checkout in this process, and return their outcomes."""
    for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
        del sys.modules[name]  # they hold options that were added to the last run's parser
    paths = [str(checkout / "tests" / "pipelines" / test) for test in tests]
    options = ["-q", "--no-header", "-rE", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-c", os.devnull, f"--rootdir={checkout}", "-W", "ignore", "-k", words]
    status = pytest.main([*options, *paths], plugins=[outcomes])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.exit(f"the tests could not be run (pytest ended with {status})")
    return outcomes


def local_tokenizer() -> None:
    """Load the demo's tokenizer where the tests ask for a remote one."""
    remote = CLIPTokenizer.from_pretrained

    def from_pretrained(name: Any, *args: Any, **kwargs: Any) -> Any:
        if name == REMOTE_TOKENIZER:
            return remote(DEMO_FOLDER / "tokenizer", model_max_length=77)
        return remote(name, *args, **kwargs)

    CLIPTokenizer.from_pretrained = from_pretrained


def with_subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    """All classes below a class that are known by now."""
    for child in kind.__subclasses__():
        yield child
        yield from with_subclasses(child)


def main() -> None:
    """Run the tests plainly and under plans, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkout", type=Path, help="folder of diffusers' repository")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="files in tests/pipelines")
    parser.add_argument("-k", default="", help="which tests, as pytest's -k")
    arguments = parser.parse_args()
    checkout = arguments.checkout.resolve()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    local_tokenizer()
    plainly = run(checkout, arguments.tests, arguments.k, Outcomes())
    passed = [test for test, outcome in plainly.of.items() if outcome == "passed"]
    under = UnderPlan()
    for kind in {k for k in with_subclasses(DiffusionPipeline) if "__call__" in vars(k)}:
        under.wrap(kind)
    planned = run(checkout, arguments.tests, arguments.k, Outcomes(only=set(passed)))
    refused = [test for test in passed if test in under.refused]
    still = [
        test for test in passed if test not in under.refused and planned.of.get(test) == "passed"
    ]
    lost = [test for test in passed if test not in {*refused, *still}]
    print(f"\npassed plainly {len(passed)} of {len(plainly.of)}; under a plan {len(still)} pass, ")
    print(f"{len(refused)} are refused, {len(lost)} differ; {under.planned} calls ran under a plan")
    reasons = Counter(re.sub(r" \d+", " N", under.refused[test])[:150] for test in refused)
    for reason, count in reasons.most_common():
        print(f"  {count:3} refused: {reason}")
    for test in lost:
        print(f"differs: {test}\n  {planned.of.get(test)}: {planned.why.get(test, '')}")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
