import { describe, expect, it } from "vitest";

import { nameOf } from "../src/keys";
import { duration, progress } from "../src/panels/jobs";
import { short } from "../src/panels/plan";
import { nearest } from "../src/stage/compare";
import { frameAtX, frameX, neighbour, rulerStep } from "../src/timeline";

describe("the timeline", () => {
  it("finds the frame under each frame's middle", () => {
    for (const frames of [1, 8, 97]) for (let n = 0; n < frames; n++) expect(frameAtX(frameX(n, frames, 613), frames, 613)).toBe(n);
  });
  it("stays within the clip", () => {
    expect(frameAtX(-50, 8, 600)).toBe(0);
    expect(frameAtX(9999, 8, 600)).toBe(7);
  });
  it("labels frames so that labels do not touch", () => {
    expect(rulerStep(8, 600)).toBe(1);
    expect((rulerStep(2000, 600) / 2000) * 600).toBeGreaterThanOrEqual(42);
  });
  it("goes to the next keyframe in a direction, and stays at the last", () => {
    expect(neighbour([0, 12, 30], 12, 1)).toBe(30);
    expect(neighbour([0, 12, 30], 12, -1)).toBe(0);
    expect(neighbour([0, 12, 30], 30, 1)).toBeNull();
  });
  it("shows the run's frame nearest to the playhead", () => {
    expect(nearest([0, 2, 4, 6], 5)).toBe(4);
    expect(nearest([], 5)).toBe(0);
  });
});

describe("words", () => {
  it("names keys as the help does", () => {
    const event = { key: "z", ctrlKey: true, metaKey: false, shiftKey: true };
    expect(nameOf(event)).toBe("Ctrl+Shift+Z");
    expect(nameOf({ ...event, key: "?", ctrlKey: false })).toBe("?");
    expect(nameOf({ ...event, key: " ", ctrlKey: false, shiftKey: false })).toBe("Space");
  });
  it("writes durations and facts", () => {
    expect(duration(8.4)).toBe("8 s");
    expect(duration(130)).toBe("2 min 10 s");
    expect(short([16, 32])).toBe("16 × 32");
    expect(short([0, 2, 4, 6])).toBe("0..6 step 2");
    expect(short([7, 9, 4])).toBe("7, 9, 4");
    expect(short({ a: 1 })).toBeNull();
    expect(short(0.123456)).toBe("0.1235");
  });
  it("knows the progress of a job only when the server does", () => {
    const job = { job: "a", kind: "run", variant: null, state: "running", stage: null, done: 3, total: 12, message: null, seconds: 1, runs: [], error: null } as const;
    expect(progress({ ...job, runs: [] })).toBe(0.25);
    expect(progress({ ...job, runs: [], total: 0 })).toBeNull();
  });
});
