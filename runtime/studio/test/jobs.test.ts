import { describe, expect, it, vi } from "vitest";

import { isRepeated } from "../src/panels/jobs";
import { api, type Job } from "../src/api";
import type { Session } from "../src/session";
import { studio } from "../src/state";
import { Work } from "../src/work";

const job = (name: string, kind: Job["kind"], variant: string | null = null) => ({ job: name, kind, variant, state: "cancelled" }) as Job;

describe("a job", () => {
  it("is begun once, however often it is asked for", async () => {
    studio.set({ jobs: [] });
    const begin = vi.spyOn(api, "begin").mockImplementation(async (_path, kind) => ({ ...job("1", kind), state: "waiting", findings: [] }) as unknown as Job);
    const work = new Work({ save: () => Promise.resolve(true), text: "" } as unknown as Session);
    await Promise.all([work.begin("run"), work.begin("run"), work.begin("track"), work.begin("run")]);
    expect(begin.mock.calls.map(([, kind]) => kind)).toEqual(["run", "track"]);
  });
  it("is repeated when another of its kind and variant came after it", () => {
    const jobs = [job("1", "run"), job("2", "track"), job("3", "run", "night"), job("4", "run")];
    expect(jobs.map((each) => isRepeated(each, jobs))).toEqual([true, false, false, false]);
  });
  it("leaves the view as it is while something is drawn", async () => {
    const run = { name: "made", own: true };
    vi.spyOn(api, "runs").mockResolvedValue({ runs: [run] } as unknown as Awaited<ReturnType<typeof api.runs>>);
    for (const busy of [true, false]) {
      studio.set({ jobs: [], view: "clip" });
      const work = new Work({ filesChanged: () => undefined } as unknown as Session);
      work.busy = () => busy;
      const told = { ...job("1", "run"), findings: [], runs: ["made"] };
      work.event({ ...told, state: "running", revision: 1 } as never);
      work.event({ ...told, state: "done", revision: 2 } as never);
      await vi.waitFor(() => expect(studio.now.run).toBe("made"));
      expect(studio.now.view).toBe(busy ? "clip" : "slider");
      studio.set({ run: null });
    }
  });
});
