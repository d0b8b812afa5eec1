import { describe, expect, it } from "vitest";

import type { Job } from "../src/api";
import { newer } from "../src/panels/jobs";
import { dropPickOfOtherRegions, pickedShape, studio } from "../src/state";

const shape = (region: string) =>
  ({ region, index: 0, kind: "box", points: [], range: { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } }, prompt: false, inside: true, keyframes: [] }) as (typeof studio.now.shapes)[number];

describe("the picked shape", () => {
  it("is dropped when gestures go to another region", () => {
    dropPickOfOtherRegions();
    studio.set({ shapes: [shape("sign"), shape("left")], picked: 0, region: "sign" });
    expect(studio.now.picked).toBe(0);
    studio.set({ picked: 1, region: "left" });
    expect(studio.now.picked).toBe(1);
    studio.set({ region: null });
    expect(studio.now.picked).toBe(null);
  });
  it("is what keys act on only while it is shown as picked", () => {
    studio.set({ shapes: [shape("sign"), shape("left")], picked: 1, region: "left", tool: "select", view: "clip" });
    expect(pickedShape()?.region).toBe("left");
    studio.set({ tool: "point" });
    expect(pickedShape()).toBe(null);
    studio.set({ tool: "select", view: "slider" });
    expect(pickedShape()).toBe(null);
    studio.set({ view: "clip", shapes: [] });
    expect(pickedShape()).toBe(null);
  });
});

describe("newer", () => {
  const revisions = ["waiting", "running", "cancelling", "cancelled", "failed"];
  const job = (state: Job["state"], done = 0) => ({ job: "1", state, done, revision: 10 * revisions.indexOf(state) + done }) as Job;
  it("does not let a late answer take a job back", () => {
    expect(newer(job("running"), job("waiting")).state).toBe("running");
    expect(newer(job("cancelled"), job("cancelling")).state).toBe("cancelled");
    expect(newer(job("waiting"), job("running")).state).toBe("running");
    expect(newer(job("running"), job("failed")).state).toBe("failed");
    expect(newer(job("running", 3), job("running", 0)).done).toBe(3);
    expect(newer(job("running", 3), job("running", 4)).done).toBe(4);
  });
});
