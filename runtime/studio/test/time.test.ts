import { describe, expect, it } from "vitest";

import { nameOf } from "../src/keys";
import { again, duration, elapsed, progress } from "../src/panels/jobs";
import { nearest } from "../src/stage/compare";
import { frameAtX, frameX, neighbour, rulerStep, usedSpans } from "../src/timeline";
import { isUsed, usedWords } from "../src/used_frames";

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
  it("marks the frames that the spec uses", () => {
    expect([3, 4, 5, 6, 12, 13].filter((frame) => isUsed([4, 12, 2], frame))).toEqual([4, 6, 12]);
    expect(usedWords([0, 15, 1])).toBe("0..15");
    expect(usedWords([4, 12, 2])).toBe("4..12 step 2");
    expect(usedSpans([4, 8, 2], 10)).toEqual([[4, 4], [6, 6], [8, 8]]);
    expect(usedSpans([4, 8, 2], 1)).toEqual([[4, 8]]);
    expect(usedSpans([4, 8, 1], 10)).toEqual([[4, 8]]);
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
  it("writes durations", () => {
    expect(duration(8.4)).toBe("8 s");
    expect(duration(130)).toBe("2 min 10 s");
  });
  it("knows the progress of a job only when the server does", () => {
    const job = { job: "a", kind: "run", variant: null, state: "running", stage: null, done: 3, total: 12, message: null, seconds: 1, runs: [], error: null, findings: [], revision: 1, resumes: false } as const;
    expect(progress({ ...job, runs: [] })).toBe(0.25);
    expect(progress({ ...job, runs: [], total: 0 })).toBeNull();
  });
  it("lets the time of a running job go on between what is told of it", () => {
    const job = { job: "a", kind: "run", variant: null, state: "running", stage: null, done: 3, total: 12, message: null, seconds: 2, runs: [], error: null, findings: [], revision: 1, resumes: false, told: 1000 } as const;
    expect(elapsed({ ...job, runs: [] }, 4500)).toBe(5.5);
    expect(elapsed({ ...job, runs: [], state: "done" }, 4500)).toBe(2);
    expect(elapsed({ ...job, runs: [], state: "waiting" }, 4500)).toBe(2);
  });
  it("says whether a job resumes or starts again", () => {
    expect(again({ state: "cancelled", resumes: true })).toBe("Resume");
    expect(again({ state: "cancelled", resumes: false })).toBe("Start again");
    expect(again({ state: "failed", resumes: false })).toBe("Retry");
    expect(again({ state: "running", resumes: false })).toBeNull();
  });
});
