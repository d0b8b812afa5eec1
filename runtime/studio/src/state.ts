/** Everything that more than one part of the page shows. */

import type { Clip, Finding, Job, RegionFacts, Run } from "./api";
import type { Shape } from "./language/client";
import type { Prompts, RegionText } from "./spec_text";
import { Store } from "./store";

export type ToolName = "select" | "point" | "box" | "polygon" | "brush" | "eraser";
export type ViewName = "clip" | "slider" | "side" | "difference";

export interface Studio {
  path: string;
  saved: boolean;
  connected: boolean;
  clip: Clip | null;
  clipError: string | null;
  /** The playhead, as a frame of the source clip. */
  frame: number;
  playing: boolean;
  tool: ToolName;
  brush: number;
  /** Whether a dragged shape that does not move yet gets a keyframe at the playhead. */
  autoKey: boolean;
  /** Whether new boxes and polygons are followed by the tracker. */
  follow: boolean;
  /** The region that gestures write to; null for a new one. */
  region: string | null;
  /** The regions of the text, in its order. */
  written: readonly RegionText[];
  prompts: Prompts;
  regions: readonly RegionFacts[];
  /** Whose masks they are: a key of the server, and the frame that it is about. */
  mask: { readonly key: string; readonly frame: number } | null;
  shapes: readonly Shape[];
  /** Index into `shapes`. */
  picked: number | null;
  /** Doubtful frames by region, as far as they were shown. */
  doubtful: Readonly<Record<string, readonly number[]>>;
  overlay: boolean;
  variants: readonly string[];
  variant: string | null;
  findings: readonly Finding[];
  /** The codes of the errors that the language server finds. */
  errors: readonly string[];
  jobs: readonly Job[];
  runs: readonly Run[];
  run: string | null;
  view: ViewName;
  /** Whether the next step is said. */
  guide: boolean;
}

export const studio = new Store<Studio>({
  path: "", saved: true, connected: false, clip: null, clipError: null, frame: 0, playing: false,
  tool: "select", brush: 0.08, autoKey: true, follow: false, region: null, written: [], prompts: { source: null, target: null }, regions: [], mask: null, shapes: [],
  picked: null, doubtful: {}, overlay: true, variants: [], variant: null, findings: [], errors: [], jobs: [],
  runs: [], run: null, view: "clip", guide: true,
});

/** The colours of regions beyond those that the server has named, in the order of the text. */
export const PALETTE = [
  "#e63c3c", "#3c6ef0", "#fabe28", "#9650d2", "#1eaa78", "#f078be", "#78c828", "#28bedc",
];

/** A region's colour: the server's, else that of its place in the text. */
export function colourOf(name: string | null): string {
  const { regions, written } = studio.now;
  const facts = regions.find((region) => region.name === name);
  if (facts) return facts.colour;
  const index = written.findIndex((region) => region.name === name);
  return PALETTE[(index < 0 ? written.length : index) % PALETTE.length]!;
}

/** The shape that is shown as picked; what the keys act on. */
export function pickedShape(): Shape | null {
  const { picked, shapes, tool, view } = studio.now;
  return tool === "select" && view === "clip" && picked !== null ? (shapes[picked] ?? null) : null;
}

/** The picked shape is one of the region that gestures write to. */
export function dropPickOfOtherRegions(): void {
  studio.watch(["region"], ({ region, picked, shapes }) => {
    if (picked !== null && shapes[picked]?.region !== region) studio.set({ picked: null });
  });
}

export const currentRun = (): Run | null =>
  studio.now.runs.find((run) => run.name === studio.now.run) ?? null;
