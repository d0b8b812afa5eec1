"""The edit of instance.grain, built in Python: `python examples/instance.py`."""

from pathlib import Path

from grainspec import REST, Builder, EditSpec, masks
from grainspec_runtime import Editor
from grainspec_runtime.media.encode import encode_video

HERE = Path(__file__).parent


def two_men_become_a_robot_and_a_bear() -> EditSpec:
    """Two men become two different things, and the trees blossom; the ground stays."""
    return (
        Builder("clips/two_men.mp4")
        .source("a red man and a blue man on grass before green trees")
        .target("a green robot and a yellow bear on grass before cherry trees")
        .region("left", masks("masks/two_men/left"))
        .region("right", masks("masks/two_men/right"))
        .region("ground", masks("masks/two_men/ground"))
        .region("trees", REST)
        .instance("left", "green robot")
        .instance("right", "yellow bear")
        .edit("trees", "cherry trees")
        .keep("ground")
        .sampler(steps=30, guidance=4)
        .build()
    )


def main() -> None:
    """Run the edit with a progress display, and write instance.mp4 to the current folder."""
    result = Editor().run(
        two_men_become_a_robot_and_a_bear(),
        base=HERE,  # where the spec's paths start
        progress=lambda stage, done, total: print(f"\r{stage} {done}/{total}   ", end=""),
    )
    encode_video(result.edited, Path("instance.mp4"), fps=result.fps)
    print(f"\nwrote instance.mp4, {len(result.edited)} frames")


if __name__ == "__main__":
    main()
