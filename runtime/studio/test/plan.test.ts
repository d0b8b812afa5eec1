import { describe, expect, it } from "vitest";

import type { RegionFacts, Run } from "../src/api";
import { duration } from "../src/panels/jobs";
import { bytes, editRows, levelRows, percent, planFacts, seconds, type Plan } from "../src/panels/plan_words";

const level = (side: number, area: number, modulated = true) => ({
  grid: [side, side] as [number, number], modulated, area,
  cross_attract: { full: 0.87, first: 0.83, last: 0.34 }, self_attract: { full: 0.26, first: 0.25, last: 0.1 },
});
const edit = { region: "left", verb: "edit", grain: "instance", owner: null, phrase: "green robot", levels: [level(24, 0.13411), level(12, 0.1467, false)] };
const PLAN: Plan = {
  target: "a green robot", backbone: "demo", frames: [0, 2, 4, 6], size: [96, 64],
  schedule: { steps: 30, modulated_steps: 18, share: [0.958, 0.397] },
  edits: [edit, { ...edit, region: "eyes", verb: "add", owner: "left", phrase: "sunglasses" }],
  memory: [{ memory: "main memory", needed: 681_483_368, free: 24_579_444_736 }],
  process: "invert_and_sample", denoiser_passes: 91, diagnostics: [],
};
const RUN = { name: "mine", complete: true, passes: 182, seconds: 40, frames: [0, 2, 4, 6], width: 96, height: 64 } as unknown as Run;

const REGIONS = [{ name: "left", use: "edit", share: 0.2 }, { name: "sign", use: "keep", share: 0.02 }, { name: "sky", use: "free", share: null }] as RegionFacts[];

describe("the plan in words", () => {
  it("says which region has which words, how large it is and how strongly it attends", () => {
    const [left, eyes, sign, sky] = editRows(PLAN, REGIONS);
    expect(left).toEqual({ region: "left", words: "“green robot”", area: "13%", cross: "0.83 → 0.34", self: "0.25 → 0.10" });
    expect(eyes!.words).toBe("gets “sunglasses” (part of left)");
    expect(sign).toEqual({ region: "sign", words: "kept as it is", area: "2%", cross: "–", self: "–" });
    expect(sky).toEqual({ region: "sky", words: "free to change", area: "–", cross: "–", self: "–" });
  });
  it("has a row for each level of the model", () => {
    expect(levelRows(PLAN)).toEqual([
      { grid: "24 × 24", cells: Array(2).fill("13% · 0.83 → 0.34") },
      { grid: "12 × 12, not modulated", cells: Array(2).fill("15%") },
    ]);
    expect(levelRows({ ...PLAN, edits: [] })).toEqual([]);
  });
  it("says what is protected, the memory and the time", () => {
    const facts = Object.fromEntries(planFacts(PLAN, REGIONS, [RUN], duration));
    expect(facts).toMatchObject({
      Protected: "sign, and what no region claims", Free: "sky", Frames: "4 (0..6 step 2), 96 × 64", Memory: "681 MB of main memory, 24.6 GB free",
      Modulated: "18 of 30 steps, from 96% to 40% of the strength", Time: "about 20 s, as run mine took",
    });
    expect(Object.fromEntries(planFacts(PLAN, [], [], duration))["Time"]).toBe("known after a first run");
  });
  it("estimates no time from a run that was resumed or is incomplete", () => {
    expect(seconds(PLAN, [{ ...RUN, passes: null }])).toBeNull();
    expect(seconds(PLAN, [{ ...RUN, complete: false }])).toBeNull();
    expect(seconds({ ...PLAN, frames: [0, 1] }, [RUN])!.seconds).toBe(10);
  });
  it("writes shares and sizes shortly", () => {
    expect([0.5, 0.1234, 0.0345, 0.0001, 0].map(percent)).toEqual(["50%", "12%", "3.5%", "< 0.1%", "0%"]);
    expect([512, 12_476, 23_300_000_000].map(bytes)).toEqual(["1 kB", "12 kB", "23.3 GB"]);
  });
});
