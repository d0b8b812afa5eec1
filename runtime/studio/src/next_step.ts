/** What to do next, from what is there: a quiet line above the picture. */

import type { Job, RegionFacts, Run } from "./api";
import type { Prompts } from "./spec_text";

/** What the studio's first spec says of any clip: `grainspec/analysis/new_spec.py`. */
const FIRST_SOURCE = "a man and a cat on grass before green trees";
const FIRST_TARGET = "a robot and a bear on grass before green trees";

export type Deed = "point" | "track" | "source" | "target" | "run" | "findings";

export interface Step {
  readonly words: string;
  /** What its button does, and is called. */
  readonly deed?: Deed;
  readonly label?: string;
}

export interface Known {
  readonly clip: unknown;
  readonly written: readonly { readonly name: string }[];
  readonly regions: readonly Pick<RegionFacts, "name" | "tracked" | "use">[];
  readonly prompts: Prompts;
  /** The text has errors besides words that `target` lacks. */
  readonly broken: boolean;
  /** An edit has words that `target` lacks. */
  readonly unbound: boolean;
  readonly jobs: readonly Pick<Job, "kind" | "state">[];
  readonly runs: readonly Pick<Run, "name">[];
}

const undescribed = ({ source, target }: Prompts): boolean =>
  !source || !target || source === target || source === FIRST_SOURCE || target === FIRST_TARGET;

/** The next step; null where there is none to teach. */
export function nextStep(known: Known): Step | null {
  const { clip, written, regions, prompts, runs } = known;
  if (!clip) return null;
  const busy = known.jobs.find(({ state }) => state === "running" || state === "waiting");
  if (busy) return { words: busy.kind === "track" ? "Tracking is under way: Jobs shows how far." : "The run is under way: Jobs shows how far." };
  if (known.broken) return { words: "Mend what Findings says.", deed: "findings", label: "Findings" };
  if (!written.length) return { words: "Click a figure in the picture: that puts a point on it.", deed: "point", label: "Point" };
  if (regions.some(({ tracked }) => tracked === false))
    return { words: "Drag each point onto its figure, then track.", deed: "track", label: "Track" };
  if (undescribed(prompts))
    return { words: "Describe the clip as it is in `source`, and as you want it in `target`.", deed: "source", label: "Show" };
  const free = regions.find(({ use }) => use === null);
  if (known.unbound || (free && !regions.some(({ use }) => use === "edit")))
    return { words: `Select words of \`target\`, and bind them to ${free?.name ?? "their region"}.`, deed: "target", label: "Show" };
  if (!runs.length) return { words: "Run: the edit is made.", deed: "run", label: "Run" };
  return null;
}
