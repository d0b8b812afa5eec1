/** What a plan says, in words: from what `grain plan --format json` prints. */

import type { Finding, RegionFacts, Run } from "../api";
import { usedWords } from "../used_frames";

interface Strength {
  readonly first?: number;
  readonly last?: number;
  readonly full: number;
}

interface Level {
  readonly grid: readonly [number, number];
  readonly modulated: boolean;
  readonly area: number;
  readonly cross_attract: Strength;
  readonly self_attract: Strength;
}

interface PlannedEdit {
  readonly region: string;
  readonly verb: string;
  readonly grain: string | null;
  readonly owner: string | null;
  readonly phrase: string | null;
  readonly levels: readonly Level[];
}

export interface Plan {
  readonly target: string;
  readonly backbone: string;
  readonly frames: readonly number[];
  readonly size: readonly [number, number];
  readonly schedule: { readonly steps: number; readonly modulated_steps: number; readonly share: readonly number[] };
  readonly edits: readonly PlannedEdit[];
  readonly memory: readonly { readonly memory: string; readonly needed: number; readonly free: number | null }[];
  readonly process: string;
  readonly denoiser_passes: number;
  readonly windows?: readonly unknown[];
  readonly diagnostics: readonly Finding[];
}

export const percent = (share: number): string => {
  if (share > 0 && share < 0.001) return "< 0.1%";
  return `${Number((share * 100).toFixed(share < 0.1 ? 1 : 0))}%`;
};

export function bytes(count: number): string {
  const [unit, divisor] = count >= 1e9 ? ["GB", 1e9] : count >= 1e6 ? ["MB", 1e6] : ["kB", 1e3];
  return `${Number((count / divisor).toFixed(count >= 1e9 ? 1 : 0))} ${unit}`;
}

/** A strength at the first and at the last modulated step. */
export function strength({ first, last, full }: Strength): string {
  const shown = (value: number) => value.toFixed(2);
  return first === undefined || last === undefined || shown(first) === shown(last) ? shown(first ?? full) : `${shown(first)} → ${shown(last)}`;
}

/** What becomes of a region that is edited: the words it is bound to. */
function fate({ verb, phrase, owner, grain }: PlannedEdit): string {
  const part = owner ? ` (part of ${owner})` : "";
  const words = verb === "add" ? `gets “${phrase}”` : `“${phrase}”`;
  return `${words}${part}${grain === "class" ? ", all as one class" : ""}`;
}

export interface EditRow {
  readonly region: string;
  readonly words: string;
  readonly area: string;
  readonly cross: string;
  readonly self: string;
}

const UNEDITED = { keep: "kept as it is", free: "free to change" };

/** The regions that are not edited, but named by `keep` or `free`. */
const ofUse = (regions: readonly RegionFacts[], wanted: "keep" | "free"): RegionFacts[] => regions.filter(({ use }) => use === wanted);

/** A row for each region: edited ones by their finest level, then those that are kept or free. */
export function editRows(plan: Plan, regions: readonly RegionFacts[]): EditRow[] {
  const edited = plan.edits.map((edit) => {
    const [finest] = edit.levels;
    return {
      region: edit.region, words: fate(edit), area: finest ? percent(finest.area) : "–",
      cross: finest ? strength(finest.cross_attract) : "–", self: finest ? strength(finest.self_attract) : "–",
    };
  });
  const others = (["keep", "free"] as const).flatMap((use) =>
    ofUse(regions, use).map(({ name, share }) => ({ region: name, words: UNEDITED[use], area: share === null ? "–" : percent(share), cross: "–", self: "–" })));
  return [...edited, ...others];
}

export interface LevelRow {
  readonly grid: string;
  /** By region, in the order of the plan's edits. */
  readonly cells: readonly string[];
}

/** A row for each level of the model: how much of it a region has, and how strongly that attends to its words. */
export const levelRows = (plan: Plan): LevelRow[] =>
  (plan.edits[0]?.levels ?? []).map(({ grid, modulated }, at) => ({
    grid: `${grid[0]} × ${grid[1]}${modulated ? "" : ", not modulated"}`,
    cells: plan.edits.map(({ levels }) => {
      const level = levels[at]!;
      return level.modulated ? `${percent(level.area)} · ${strength(level.cross_attract)}` : percent(level.area);
    }),
  }));

const listed = (names: readonly string[]): string => (names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

const protectedWords = (regions: readonly RegionFacts[]): string =>
  [listed(ofUse(regions, "keep").map(({ name }) => name)), "what no region claims"].filter(Boolean).join(", and ");

function framesWords({ frames, size }: Plan): string {
  const [first, second] = frames;
  const step = first === undefined || second === undefined ? 1 : second - first;
  const even = frames.every((frame, at) => frame === first! + at * step);
  const which = frames.length > 1 && even ? ` (${usedWords([first!, frames.at(-1)!, step])})` : "";
  return `${frames.length}${which}, ${size[0]} × ${size[1]}`;
}

/** How long a run takes, by an earlier one of the spec: as long for each pass and pixel. */
export function seconds(plan: Plan, runs: readonly Run[]): { seconds: number; run: string } | null {
  const run = runs.find(({ complete, passes, seconds: took }) => complete && passes && took);
  if (!run) return null;
  const pixels = (frames: readonly number[], width: number, height: number) => frames.length * width * height;
  const larger = pixels(plan.frames, ...plan.size) / Math.max(1, pixels(run.frames, run.width, run.height));
  return { seconds: run.seconds! * (plan.denoiser_passes / run.passes!) * larger, run: run.name };
}

/** What holds for the whole plan: names and words. */
export function planFacts(plan: Plan, regions: readonly RegionFacts[], runs: readonly Run[], duration: (seconds: number) => string): [string, string][] {
  const { steps, modulated_steps: modulated, share } = plan.schedule;
  const fades = share.length === 2 && share[0] !== share[1] ? `, from ${percent(share[0]!)} to ${percent(share[1]!)} of the strength` : "";
  const time = seconds(plan, runs);
  const free = ofUse(regions, "free").map(({ name }) => name);
  return [
    ["Target", `“${plan.target}”`],
    ["Protected", protectedWords(regions)],
    ...(free.length ? [["Free", listed(free)] as [string, string]] : []),
    ["Frames", framesWords(plan)],
    ["Modulated", `${modulated} of ${steps} steps${fades}`],
    ["Memory", plan.memory.map(({ memory, needed, free: left }) => `${bytes(needed)} of ${memory}${left === null ? "" : `, ${bytes(left)} free`}`).join("; ")],
    ["Time", time ? `about ${duration(time.seconds)}, as run ${time.run} took` : "known after a first run"],
    ["Model", `${plan.backbone}, ${plan.denoiser_passes} passes${(plan.windows?.length ?? 0) > 1 ? ` in ${plan.windows!.length} windows` : ""} (${plan.process.replaceAll("_", " ")})`],
  ];
}
