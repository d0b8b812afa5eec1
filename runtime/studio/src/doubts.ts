/**
 * Doubtful frames of tracked regions, for the marks on the timeline. The server tells them frame by
 * frame; the rest of the clip is asked for while nothing else happens.
 */

import { api } from "./api";
import type { RegionFacts } from "./api";
import { studio } from "./state";

/** Frames that are asked for at most. */
const MOST = 240;
/** Milliseconds between two requests. */
const PAUSE = 40;

let scanned = "";

export function noteDoubts(frame: number, regions: readonly RegionFacts[]): void {
  const { doubtful } = studio.now;
  const next: Record<string, readonly number[]> = { ...doubtful };
  let changed = false;
  for (const { name, doubtful: doubt, lost } of regions) {
    const known = doubtful[name] ?? [];
    const yes = doubt || lost;
    if (known.includes(frame) === yes) continue;
    next[name] = yes ? [...known, frame].sort((a, b) => a - b) : known.filter((n) => n !== frame);
    changed = true;
  }
  if (changed) studio.set({ doubtful: next });
}

/** Ask for all used frames of a text whose masks have this key, once. */
export async function scanDoubts(text: string, key: string): Promise<void> {
  const { clip, regions, variant } = studio.now;
  if (key === scanned || !clip || !regions.some((region) => region.tracked)) return;
  scanned = key;
  studio.set({ doubtful: {} });
  const [first, last, step] = clip.used;
  const stride = Math.max(1, step) * Math.max(1, Math.ceil((last - first) / step / MOST));
  for (let frame = first; frame <= last; frame += stride) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
    while (studio.now.playing) await new Promise((resolve) => setTimeout(resolve, 500));
    if (studio.now.mask !== key) return;
    const answer = await api.regions(text, frame, variant).catch(() => null);
    if (!answer || studio.now.mask !== key || answer.mask !== key) return;
    noteDoubts(answer.frame, answer.regions);
  }
}
