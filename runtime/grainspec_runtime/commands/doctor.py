"""``grain doctor``: check whether this machine can run edits, and what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from grainspec.cli.output import Format, format_option, print_json, say
from grainspec.diagnostics import GrainError


@dataclass(frozen=True)
class Check:
    """One check of the machine: its subject, whether it passed, the details, and the cure."""

    what: str
    fine: bool
    found: str
    cure: str = ""


_BFLOAT16 = 8
"""The first generation of NVIDIA's GPUs that computes in bfloat16 (Ampere)."""


@click.command
@format_option
def doctor(format_: Format) -> None:
    """Check whether this machine can run edits, and show what is missing.

    The exit code is 1 if `grain run` cannot work here.

    \b
    Examples:
      grain doctor
      grain doctor --format json
    """
    checks = [
        Check("python", True, f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        *_devices(),
        *_engines(),
        _encoder(),
        _demo(),
        _cache(),
    ]
    failed = [check for check in checks if not check.fine]
    if format_ == "json":
        print_json({"can_run": not failed, "findings": [asdict(check) for check in checks]})
    else:
        for check in checks:
            say(f"{'ok ' if check.fine else 'NO '} {check.what:<22} {check.found}")
            if check.cure:
                say(f"{'':<27}{check.cure}")
        say(f"this machine {'cannot' if failed else 'can'} run edits")
    if failed:
        raise SystemExit(1)


def _packages() -> list[Check]:
    cure = "Install it with: pip install 'grainspec[runtime]'"
    checks = []
    for name in ("torch", "diffusers", "transformers", "safetensors", "av"):
        try:
            checks.append(Check(name, True, version(name)))
        except PackageNotFoundError:
            checks.append(Check(name, False, "not installed", cure))
    for name, use in (
        ("decord", "optional; decodes faster than PyAV"),
        ("opencv-python-headless", "required for optical flow"),
        ("torchvision", "required only for flow with RAFT, `finder sam3` and `tracker edgetam`"),
        ("peft", "required for LoRAs"),
        ("ftfy", "optional; repairs the encoding of Wan's prompts"),
        ("xformers", "optional"),
    ):
        try:
            checks.append(Check(name, True, version(name)))
        except PackageNotFoundError:
            checks.append(Check(name, True, f"not installed ({use})"))
    return checks


def _devices() -> list[Check]:
    if find_spec("torch") is None:
        return []
    import torch

    threads = torch.get_num_threads()
    checks = [Check("cpu", True, f"{os.cpu_count()} cores, {threads} torch threads, float32")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            memory = facts.total_memory / 2**30
            details = f"{facts.name}, {memory:.0f} GiB"
            if facts.major < _BFLOAT16:
                details += "; no bfloat16, which Wan runs in: use `--dtype float16` or `float32`"
            checks.append(Check(f"cuda:{index}", True, details))
    else:
        why = "this torch was built without CUDA" if torch.version.cuda is None else "no GPU found"
        checks.append(Check("cuda", True, f"not used: {why}"))
    if torch.backends.mps.is_available():
        checks.append(Check("mps", True, "Apple GPU"))
    from grainspec_runtime.attention import BACKENDS, NAMES, choose

    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    choice = choose("auto", device, torch.float16 if cuda else torch.float32, 64)
    details = f"{', '.join(NAMES)}; auto selects {choice.backend}: {choice.reason}"
    dtype = torch.float16 if cuda else torch.float32
    why_not = BACKENDS["xformers"].why_not(device, dtype, 64)
    if why_not is not None:
        details += f"; xformers cannot run: {why_not}"
    return [*checks, Check("attention backends", True, details)]


def _engines() -> list[Check]:
    """Check the engines for tracking and finding; edits run without them."""
    from grainspec_runtime.tracking.registry import FINDERS, TRACKERS, finder_row, tracker_row

    kinds = (("tracker", TRACKERS, tracker_row), ("finder", FINDERS, finder_row))
    checks = []
    for kind, names, row_of in kinds:
        for name in names:
            try:
                row = row_of(name)
            except ImportError as error:
                details = f"cannot run here: {error}"
            else:
                weights = f"{row.checkpoint} ({row.licence})" if row.checkpoint else "no weights"
                reason = row.why_not()
                details = f"cannot run here: {reason}" if reason else f"can run here, {weights}"
            checks.append(Check(f"{kind} {name}", True, details))
    return checks


def _encoder() -> Check:
    try:
        import av

        av.CodecContext.create("libx264", "w")
    except Exception as error:  # the exception types differ between versions of PyAV
        cure = "Install PyAV from a wheel: pip install --only-binary=:all: av"
        return Check("H.264 encoder", False, f"libx264 is not available: {error}", cure)
    return Check("H.264 encoder", True, "libx264")


def _demo() -> Check:
    from grainspec_runtime.models.locate import DEMO_FOLDER

    weights = sorted(DEMO_FOLDER.glob("*/*.safetensors"))
    if len(weights) < 3:
        cure = "Install grainspec again; the weights are part of the package."
        return Check("demo model", False, f"weights are missing in {DEMO_FOLDER}", cure)
    size = sum(path.stat().st_size for path in weights) / 1e6
    return Check("demo model", True, f"{size:.0f} MB, part of the package")


def _cache() -> Check:
    from grainspec.remote.address import shown
    from grainspec_runtime.cache.folder import cache_folder, shared_cache
    from grainspec_runtime.cache.limit import cache_limit, shown_size

    folder = cache_folder()
    try:
        limit = shown_size(cache_limit())
    except GrainError as error:
        return Check("cache", False, error.diagnostics[0].message, error.diagnostics[0].cure)
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    details = f"{folder}, {used / 1e6:.0f} MB used of at most {limit}, {free:.0f} GB free on disk"
    if url := shared_cache():
        details += f"; shared: {shown(url)}"
    return Check("cache", True, details)
