import { describe, expect, it, vi } from "vitest";

import type { Job } from "../src/api";
import type { Session } from "../src/session";
import { studio } from "../src/state";
import { Work } from "../src/work";

const job = (kind: Job["kind"], state: Job["state"], revision: number) =>
  ({ job: kind, kind, state, revision, variant: null, stage: null, done: 0, total: 0, message: null, seconds: 1, runs: [], error: null, findings: [], resumes: false }) as Job;

describe("a job", () => {
  vi.stubGlobal("fetch", () => Promise.reject(new Error("no server")));
  vi.stubGlobal("location", { port: "0" });
  for (const kind of ["track", "run"] as const)
    for (const state of ["done", "cancelled", "failed"] as const)
      it(`of kind ${kind} that is ${state} has what was found about files forgotten`, () => {
        studio.set({ jobs: [] });
        const filesChanged = vi.fn();
        const work = new Work({ filesChanged } as unknown as Session);
        work.event(job(kind, "running", 1));
        expect(filesChanged).not.toHaveBeenCalled();
        work.event(job(kind, state, 3));
        expect(filesChanged).toHaveBeenCalledTimes(1);
        work.event(job(kind, "running", 2));
        expect(studio.now.jobs.map((each) => each.state)).toEqual([state]);
        expect(studio.now.jobs[0]!.told).toBeTypeOf("number");
      });
  it("that has tracked shows it while the run goes on", () => {
    studio.set({ jobs: [] });
    const filesChanged = vi.fn();
    const work = new Work({ filesChanged } as unknown as Session);
    const at = (stage: string, revision: number) => work.event({ ...job("run", "running", revision), stage });
    at("track", 1);
    at("track", 2);
    expect(filesChanged).not.toHaveBeenCalled();
    at("invert", 3);
    at("invert", 4);
    expect(filesChanged).toHaveBeenCalledTimes(1);
  });
});
