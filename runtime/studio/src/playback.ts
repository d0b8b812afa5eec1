/** The playhead: stepping, and playing at the clip's rate. */

import { clamp } from "./geometry";
import { currentRun, studio } from "./state";
import { neighbour } from "./timeline";

export function seek(frame: number): void {
  const { clip } = studio.now;
  if (clip) studio.set({ frame: clamp(frame, 0, clip.frames - 1) });
}

export const step = (by: number): void => {
  studio.set({ playing: false });
  seek(studio.now.frame + by);
};

/** To the next keyframe of the chosen region, or of any if none is chosen. */
export function toKeyframe(direction: 1 | -1): void {
  const { written, region, frame } = studio.now;
  const chosen = written.filter(({ name }) => region === null || name === region);
  const target = neighbour(chosen.flatMap(({ keyframes }) => keyframes), frame, direction);
  if (target !== null) seek(target);
}

/** Play from the first used frame to the last, and again. */
export function startPlayback(): void {
  let began = 0;
  let from = 0;
  let turn = 0;
  const tick = (now: number, mine: number) => {
    const { playing, clip, view } = studio.now;
    if (!playing || !clip || mine !== turn) return;
    const run = view === "clip" ? null : currentRun();
    const first = run?.frames[0] ?? clip.used[0];
    const last = run?.frames.at(-1) ?? clip.used[1];
    const count = Math.max(1, last - first + 1);
    const passed = Math.floor((Math.max(0, now - began) / 1000) * (clip.fps || 8));
    seek(first + ((((from - first + passed) % count) + count) % count));
    requestAnimationFrame((later) => tick(later, mine));
  };
  studio.watch(["playing", "view"], ({ playing, frame }) => {
    if (!playing) return;
    began = performance.now();
    from = frame;
    const mine = ++turn;
    requestAnimationFrame((now) => tick(now, mine));
  });
}
