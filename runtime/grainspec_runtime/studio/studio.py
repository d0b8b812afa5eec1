"""What a studio has open, and what its page can ask of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from grainspec.checks.tracked_masks import tracked_masks_of
from grainspec.clip.crop import frame_numbers
from grainspec.diagnostics import fail, visible
from grainspec.model.expressions import MaskFiles
from grainspec.model.spec import EditSpec, Video
from grainspec.text.override import override
from grainspec_runtime.studio.bodies import NewJob, PaintedMask
from grainspec_runtime.studio.errors import Refused
from grainspec_runtime.studio.events import Events
from grainspec_runtime.studio.frames import FrameStore
from grainspec_runtime.studio.guard import Tokens
from grainspec_runtime.studio.jobs import Job, Jobs
from grainspec_runtime.studio.kept import Kept
from grainspec_runtime.studio.open_spec import OpenSpec
from grainspec_runtime.studio.painted import store_mask
from grainspec_runtime.studio.process import Command
from grainspec_runtime.studio.readable import Readable
from grainspec_runtime.studio.regions import RegionViews, chosen
from grainspec_runtime.studio.repaired import is_of_all_frames, repaired_masks
from grainspec_runtime.studio.runs import EarlierRuns
from grainspec_runtime.studio.starting import Uploads

T = TypeVar("T")
ALL = "all"
_AT_ONCE = 4
"""Requests that decode or compute at the same time; the others wait."""
_PLANS = 16
_SECONDS_BETWEEN_LOOKS = 1.0


class Studio:
    """A folder, the spec in it that is open, and the jobs that run on it.

    ``also`` are folders whose clips and masks may be shown too.
    """

    def __init__(self, folder: Path, spec: Path | None = None, also: tuple[Path, ...] = ()) -> None:
        self.readable = Readable(folder.resolve(), tuple(one.resolve() for one in also))
        self.spec: OpenSpec | None = None
        self._opened: dict[str, OpenSpec] = {}
        if spec:
            self.show(OpenSpec(spec.resolve()))
        self.tokens = Tokens()
        self.frames = FrameStore()
        self.regions = RegionViews(self.readable, self.frames)
        self.runs = EarlierRuns(self.readable, self.frames)
        self.uploads = Uploads(self.readable)
        self.events = Events()
        self.jobs = Jobs(self.events, self.regions.forget)
        self._threads = anyio.CapacityLimiter(_AT_ONCE)
        self._plans: Kept[dict[str, Any]] = Kept(_PLANS)
        self._planning = asyncio.Lock()

    async def in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call a function that takes its time outside the event loop."""
        return await anyio.to_thread.run_sync(partial(call, *arguments), limiter=self._threads)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after the spec's file inside the block; jobs are ended at its end."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await self.jobs.close()

    def opened(self) -> OpenSpec:
        """The spec that is open; raises GrainError (G730) if there is none."""
        if self.spec is None:
            raise fail("G730", "no spec is open", "Choose a clip, or drop one on the page.")
        return self.spec

    def opened_as(self, name: str) -> OpenSpec:
        """The spec that is open, for a page that has this one.

        Raises GrainError: G726 if another one is open, G730 if there is none.
        """
        spec = self.opened()
        if spec.path.name != name:
            message = f"the studio has {spec.path.name} open now, not {visible(name)}"
            raise fail("G726", message, "Open the spec again in the page that has its text.")
        return spec

    def earlier(self, name: str) -> OpenSpec:
        """A spec that was open, or is in the folder, by its name.

        Raises GrainError as :meth:`Readable.named` does, and G727 for what is no spec there.
        """
        if name in self._opened:
            return self._opened[name]
        path = self.readable.named(name)
        if path.parent != self.readable.folder or path.suffix != ".grain" or not path.is_file():
            message = f"{visible(name)} is no spec of this folder"
            raise fail("G727", message, "Start `grain studio` with this spec.")
        return OpenSpec(path)

    def show(self, spec: OpenSpec) -> None:
        """Have this spec open, for all pages."""
        self.spec = self._opened.setdefault(spec.path.name, spec)

    def spec_facts(self) -> dict[str, Any]:
        """The answer to ``GET /api/spec``."""
        return self.facts_of(self.opened())

    def facts_of(self, spec: OpenSpec) -> dict[str, Any]:
        """Name, text and version of a spec; raises GrainError, G727 if its file is gone."""
        if spec.is_gone:
            message = f"there is no {spec.path.name} any more"
            raise fail("G727", message, "Save the text to write it anew.")
        text, version = spec.read()
        root = self.readable.folder
        return {"path": spec.path.name, "text": text, "version": version, "root": root.as_posix()}

    def clip_facts(self, text: str | None = None) -> dict[str, Any]:
        """The facts of the clip of a text, or of the saved spec; raises GrainError."""
        video = self.video(self.opened().read()[0] if text is None else text)
        facts = self.frames.facts(self.readable.folder / video.path, video.fps)
        used = frame_numbers(video, facts)
        return {
            "path": video.path,
            "width": facts.width,
            "height": facts.height,
            "frames": facts.frames,
            "fps": facts.fps,
            "used": [used[0], used[-1], video.step],
        }

    def frame(self, number: int, width: int | None, path: str | None) -> bytes:
        """A frame of a clip as JPEG, of that of the saved spec if none is named."""
        background = None
        if path is None:
            video = self.video(self.opened().read()[0])
            place, background = self.readable.folder / video.path, video.alpha
        else:
            place = self.readable.clip(path)
        if number >= self.frames.facts(place).frames:
            raise fail("G727", f"the clip has no frame {number}", "Choose one of its frames.")
        return self.frames.jpeg(place, number, width, background)

    def video(self, text: str) -> Video:
        """The clip of a text, which may have mistakes elsewhere; raises GrainError."""
        name = self.opened().path.name
        return (self.regions.draft(text, name) or self.regions.spec(text, name)).video

    def whole(self, text: str) -> EditSpec:
        """The spec of a text, with its variants; raises GrainError with all findings."""
        return self.regions.spec(text, self.opened().path.name)

    def regions_of(self, text: str, variant: str | None, frame: int) -> dict[str, Any]:
        """The answer to ``POST /api/regions``."""
        return self.regions.view(text, self.opened().path.name, variant, frame)

    def paint(self, body: PaintedMask) -> dict[str, str]:
        """Store a painted mask; of a region of the text that has masks of all frames, with these.

        Raises GrainError.
        """
        spec, folder = self.opened(), self.readable.folder
        text = spec.read()[0] if body.text is None else body.text
        video = self.video(text)
        facts = self.frames.facts(folder / video.path, video.fps)
        mask = self.readable, spec.path.stem, body.region, body.frame, body.png, facts
        draft = None if body.text is None else self.regions.draft(text, spec.path.name)
        known = {one.name: one.expression for one in draft.regions} if draft else {}
        source = known.get(body.region)
        if isinstance(source, MaskFiles) and is_of_all_frames(source, folder):
            stored = repaired_masks(*mask, source)
        else:
            stored = store_mask(*mask)
        self.regions.forget()
        return stored

    def job(self, body: NewJob) -> Job:
        """A job that can be started; raises GrainError for a text, variant or set that cannot."""
        whole = self.whole(body.text)
        names = whole.variant_names
        if body.kind == "run" and body.variant is None and whole.variants and not whole.claims:
            message = "this spec has no edit outside its variants"
            raise fail("G724", message, "Choose one of its variants, or all.")
        if body.variant is not None and body.variant not in (*names, *[ALL] * bool(names)):
            raise fail("G727", "the spec has no such variant", "Choose one of the text's variants.")
        each = names if body.variant == ALL else (body.variant,)
        for spec in (chosen(whole, name) for name in each):
            self.readable.require_spec(override(spec, body.sets))
        file = self.readable.folder / self.opened().path.name
        run = tuple(name for name in each if name is not None)
        return Job(body.kind, file, body.text, body.variant, tuple(body.sets), run)

    async def plan(self, text: str, variant: str | None) -> dict[str, Any]:
        """What ``grain plan --format json`` prints of a text.

        Raises GrainError if the text has errors, or its regions are not tracked, and
        :class:`Refused` with what the command finds.
        """
        key = await self.in_thread(self._plan_key, text, variant)
        async with self._planning:
            plan = self._plans.get(key)
            if plan is None:
                chosen_one = [f"--variant={variant}"] if variant is not None else []
                name = self.opened().path.name
                arguments = ["plan", "--stdin", "--format=json", *chosen_one, "--", name]
                ended = await Command(self.readable.folder, arguments, text).run()
                if ended.code or ended.output is None:
                    raise Refused(ended.findings)
                plan = self._plans.put(key, ended.output)
        return plan

    def _plan_key(self, text: str, variant: str | None) -> str:
        """What a plan depends on; raises GrainError (G354) if regions are not tracked."""
        spec = chosen(self.whole(text), variant)
        state = tracked_masks_of(spec, self.readable.folder)
        if state is not None and not state.usable:
            raise fail("G354", state.why, "Track the regions first.")
        parts = [text, str(variant), *self.regions.dates(spec)]
        return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()

    async def _watch(self) -> None:
        """Tell pages when another program changes the spec's file, or deletes it.

        It is gone if it is so twice: some programs delete a file before they write it anew.
        """
        told = before = ""
        watched: OpenSpec | None = None
        while True:
            if (spec := self.spec) is not None:
                version = await self.in_thread(spec.version)
                if spec is not watched:
                    told, watched = version, spec
                elif version != told and (version or not before) and spec is self.spec:
                    self.tell_version(spec, version)
                    told = version
                before = version
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)

    def tell_version(self, spec: OpenSpec, version: str) -> None:
        """Tell pages the version of a spec's file; empty if it is gone."""
        told = {"path": spec.path.name, "version": version}
        self.events.publish("spec", {"spec": told})
