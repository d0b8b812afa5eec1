"""Measure several GPUs against one: 64 edits in as many processes, and one clip divided.

    python runtime/benchmarks/several_gpus.py --gpus 4 --json several.json
    python runtime/benchmarks/several_gpus.py --gpus 4 --only clip --frames 81 --size 832x480
    python runtime/benchmarks/several_gpus.py --gpus 4 --only flow
    python runtime/benchmarks/several_gpus.py --gpus 2 --device cpu --tiny    # tries the program

*edits*: 16 clips with 4 edits each, of Stable Diffusion 1.5's size with random weights (`--tiny`:
the demo model). A process for each GPU keeps the model loaded, takes clips from a queue, and
prepares, inverts, edits and saves as `grain run` does; then the same in one process, for all clips
or, with `--clips-alone 4`, for some: edits a second are compared. Time counts from the moment when
all models are loaded. Needs no Ray: `grain batch` does the same on a cluster.

*clip*: predictions of a video transformer for one clip on one GPU, and divided between all of them;
see `divided_clip.py`.

*windows*, *flow*: a whole edit of one clip on one GPU, and divided between all of them, by a UNet
in windows, and by a video transformer; see `divided_edit.py`.

Results are written after each measurement: one GPU needs minutes.
"""

from __future__ import annotations

import argparse
import os
import queue
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import divided_clip
import divided_edit
import edit_cost
import numpy as np
import torch
import torch.multiprocessing as mp
from PIL import Image
from written import write_results

from grainspec import parse
from grainspec_runtime import Editor
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.prepare import Prepared, prepare
from grainspec_runtime.runs.write import save_run

CLIPS, WEIGHTS = 16, (0.25, 0.5, 0.75, 1.0)
SPEC = (
    divided_edit.SCENE
    + """edit instance left -> "green robot" {{ weight {weight} }}
edit instance right -> "yellow bear" {{ weight {weight} }}
sampler ddim {{ steps {steps} }}
"""
)


# 64 edits


def save_clips(folder: Path, arguments: argparse.Namespace) -> None:
    """Save the clips and, unless it is the demo model, the checkpoint."""
    for number in range(arguments.clips):
        place = folder / f"clip{number}"
        place.mkdir()
        edit_cost.save_clip(place, arguments.edit_frames, arguments.side)
        _mark(place / "clip", number)
    if not arguments.tiny:
        edit_cost.save_checkpoint(folder)


def _mark(clip: Path, number: int) -> None:
    """Make a clip's pixels its own, so that it has an inversion of its own."""
    for path in clip.iterdir():
        pixels = np.asarray(Image.open(path)).copy()
        pixels[:8, :8] = 15 * number
        Image.fromarray(pixels).save(path)


def edits_of(folder: Path, arguments: argparse.Namespace) -> list[tuple[str, Prepared]]:
    """Prepare the edits of a clip."""
    model = "demo" if arguments.tiny else folder.parent / "model"
    texts = [
        SPEC.format(side=arguments.side, model=model, weight=weight, steps=arguments.steps)
        for weight in WEIGHTS
    ]
    return [(text, prepare(parse(text), folder)) for text in texts]


def edit_clips(
    rank: int, folder: Path, arguments: argparse.Namespace, clips: Any, ready: Any, took: Any
) -> None:
    """Edit clips of a queue until it is empty; `took` receives seconds and edits."""
    device = divided_clip.device_of(rank, arguments)
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // arguments.gpus))
    os.environ["GRAINSPEC_CACHE"] = str(folder / "cache")
    model = "demo" if arguments.tiny else str(folder / "model")
    editor = Editor(model, device=device, use_cache=False)
    warm = edits_of(folder / "clip0", arguments)
    editor.run_prepared(warm[0][1])
    ready.wait()
    start, done = time.perf_counter(), 0
    while True:
        try:
            clip = folder / f"clip{clips.get(timeout=1)}"
        except queue.Empty:
            break
        end = time.perf_counter()
        prepared = edits_of(clip, arguments)
        with editor.session([one for _, one in prepared]) as session:
            for number, (text, one) in enumerate(prepared):
                save_run(
                    edit(session, one),
                    folder / "runs" / f"{clip.name}-{number}",
                    spec_text=text,
                    spec_name="edit.grain",
                    arguments=[],
                )
                done += 1
        end = time.perf_counter()
    took.put((end - start if done else 0.0, done))


def time_edits(
    folder: Path, gpus: int, count: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return the seconds of `count` clips on so many devices, and how many edits each made."""
    context = mp.get_context("spawn")
    clips, took, ready = context.Queue(), context.Queue(), context.Barrier(gpus)
    for number in range(count):
        clips.put(number)
    given = (folder, arguments, clips, ready, took)
    mp.start_processes(edit_clips, given, nprocs=gpus, start_method="spawn")
    results = [took.get() for _ in range(gpus)]
    seconds, edits = max(seconds for seconds, _ in results), sorted(done for _, done in results)
    found = {"seconds": round(seconds, 2), "edits": edits}
    print(f"edits, {gpus} devices", found, flush=True)
    return found


def edits_a_second(found: dict[str, Any]) -> float:
    """Return the rate of what `time_edits` returned."""
    return float(sum(found["edits"]) / found["seconds"])


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", type=int, default=4)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", choices=("edits", "clip", "windows", "flow"))
    parser.add_argument("--tiny", action="store_true", help="small models, to try the program")
    parser.add_argument("--clips", type=int, default=CLIPS, help="of 4 edits each")
    parser.add_argument("--clips-alone", type=int, help="on one GPU (default: as on all)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--edit-frames", type=int, default=8)
    parser.add_argument("--side", type=int, default=512, help="of the edits' frames")
    parser.add_argument("--frames", type=int, default=81, help="of the one clip")
    parser.add_argument("--size", default="832x480", help="of the one clip")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="for models and clips (default: temporary)")
    parser.add_argument("--json", type=Path)
    divided_edit.add_options(parser)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}

    def save() -> None:
        write_results(arguments, results, on_gpu=arguments.device == "cuda")

    place = tempfile.TemporaryDirectory() if arguments.folder is None else None
    with place or nullcontext(arguments.folder) as folder:
        root = Path(folder)
        if arguments.only in (None, "edits"):
            (root / "edits").mkdir(parents=True)
            save_clips(root / "edits", arguments)
            several = time_edits(root / "edits", arguments.gpus, arguments.clips, arguments)
            results["edits"] = {"several": several}
            save()
            alone = arguments.clips_alone or arguments.clips
            one = time_edits(root / "edits", 1, alone, arguments)
            speed = round(edits_a_second(several) / edits_a_second(one), 3)
            results["edits"] |= {"one": one, "times as fast": speed}
            print("edits, times as fast:", speed, flush=True)
            save()
        if arguments.only in (None, "clip"):
            results["clip"] = divided_clip.time_clip(root / "wan", arguments)
            save()
        for kind in divided_edit.WAYS:
            if arguments.only in (None, kind):
                for known in divided_edit.time_edit(kind, root / kind, arguments):
                    results[kind] = known
                    save()


if __name__ == "__main__":
    main()
