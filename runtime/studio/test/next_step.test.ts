import { describe, expect, it } from "vitest";

import { nextStep, type Known } from "../src/next_step";
import { inPage, sentence } from "../src/panels/page_words";
import { promptPlace, promptsOf } from "../src/spec_text";
import { differenceWords } from "../src/stage/compare";

const PROMPTS = { source: "two men", target: "two bears" };
const left = { name: "left", tracked: true, use: null };
const begun: Known = { clip: {}, written: [left], regions: [left], prompts: PROMPTS, broken: false, unbound: false, jobs: [], runs: [] };
const deed = (more: Partial<Known>) => nextStep({ ...begun, ...more })?.deed;

describe("the next step", () => {
  it("follows what is there", () => {
    expect(nextStep({ ...begun, clip: null })).toBeNull();
    expect(deed({ written: [], regions: [] })).toBe("point");
    expect(deed({ regions: [{ ...left, tracked: false }] })).toBe("track");
    expect(deed({ prompts: { source: null, target: null } })).toBe("source");
    expect(deed({ prompts: { source: "two men", target: "two men" } })).toBe("source");
    expect(deed({})).toBe("target");
    const edited = [{ ...left, use: "edit" as const }];
    expect(deed({ regions: edited, unbound: true })).toBe("target");
    expect(deed({ regions: edited })).toBe("run");
    expect(deed({ regions: edited, broken: true })).toBe("findings");
    expect(nextStep({ ...begun, regions: edited, runs: [{ name: "a" }] })).toBeNull();
  });
  it("waits while a job is under way", () => {
    const step = nextStep({ ...begun, jobs: [{ kind: "track", state: "running" }] });
    expect(step?.words).toContain("Tracking is under way");
    expect(step?.deed).toBeUndefined();
    expect(deed({ jobs: [{ kind: "track", state: "done" }] })).toBe("target");
  });
});

describe("prompts", () => {
  const text = 'grain 1\n# source "no"\nsource "a \\"big\\" man"\ntarget "a bear"\n';
  it("are read from the text", () => {
    expect(promptsOf(text)).toEqual({ source: 'a "big" man', target: "a bear" });
    expect(promptsOf("grain 1\n")).toEqual({ source: null, target: null });
  });
  it("are found in it", () => {
    const { from, to } = promptPlace(text, "target")!;
    expect(text.slice(from, to)).toBe("a bear");
    const source = promptPlace(text, "source")!;
    expect(text.slice(source.from, source.to)).toBe('a \\"big\\" man');
    expect(promptPlace("grain 1", "target")).toBeNull();
  });
});

describe("findings in the page's words", () => {
  it("name its buttons, and no command", () => {
    expect(inPage("`left` has no masks. Run `grain track '/home/me/my clip.grain'`; `grain show`, `grain plan` and `grain run` do so too."))
      .toBe("`left` has no masks. Press Track, or Run, which tracks first.");
    expect(inPage("Look with `grain show`, and add a point.")).toBe("Look in the picture, and add a point.");
    expect(inPage("Look at both with `grain show`.")).toBe("Look at both in the picture.");
    expect(inPage("Run `grain track a.grain`.")).toBe("Press Track.");
  });
  it("end before another sentence begins", () => {
    expect(["not tracked", "not tracked.", "which?"].map(sentence)).toEqual(["not tracked.", "not tracked.", "which?"]);
  });
  it("say by how much a difference is amplified", () => {
    expect(differenceWords({ difference_gain: 4 })).toBe("Difference × 4");
  });
});
