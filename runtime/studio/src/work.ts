/** Jobs and runs: begun, watched, cancelled, compared. */

import { api, described, type Job, type Run } from "./api";
import { notice } from "./notices";
import { active, newer } from "./panels/jobs";
import type { Session } from "./session";
import { connect } from "./socket";
import { studio } from "./state";

interface Events {
  spec?: { path: string; version: string | number };
  job?: string;
}

export class Work {
  constructor(private readonly session: Session) {}

  start(): void {
    connect("api/events", {
      opened: () => {
        void this.readRuns();
        if (studio.now.path) void this.session.look(); // what was told while there was no connection
      },
      received: (text) => this.event(JSON.parse(text) as Events & Job),
      closed: () => undefined,
    });
  }

  async begin(kind: Job["kind"], variant = studio.now.variant): Promise<void> {
    if (studio.now.jobs.some((job) => active(job) && job.kind === kind && job.variant === variant)) {
      notice(`This ${kind === "track" ? "tracking" : "run"} is under way already.`);
      return;
    }
    await this.session.save();
    try {
      this.update(await api.begin(studio.now.path, kind, this.session.text, variant, []));
    } catch (error) {
      notice(described(error), "error");
    }
  }

  async cancel(job: Job): Promise<void> {
    try {
      this.update(await api.cancel(job.job));
    } catch (error) {
      notice(described(error), "error");
    }
  }

  async readRuns(): Promise<void> {
    const { runs } = await api.runs().catch(() => ({ runs: [] as Run[] }));
    const own = runs.filter((run) => run.own);
    const { run } = studio.now;
    studio.set({ runs: own, run: own.some((each) => each.name === run) ? run : (own[0]?.name ?? null) });
  }

  /** What the server tells. */
  event(message: Events & Job): void {
    if (message.spec) void this.session.changedOutside(message.spec);
    else if (message.job) this.update(message);
  }

  private update(news: Job): void {
    const { jobs } = studio.now;
    const told = { ...news, told: performance.now() };
    const before = jobs.find((each) => each.job === told.job);
    const job = before ? newer(before, told) : told;
    studio.set({ jobs: before ? jobs.map((each) => (each.job === job.job ? job : each)) : [...jobs, job] });
    if (before && active(before) && !active(job)) void this.ended(job);
  }

  private async ended(job: Job): Promise<void> {
    const name = job.kind === "track" ? "Tracking" : "The run";
    if (job.state === "failed") notice(job.error ? [job.error.message, job.error.cure].filter(Boolean).join(". ") : `${name} failed.`, "error");
    this.session.language.filesChanged(); // a run tracks what is not tracked yet
    studio.set({ doubtful: {} });
    this.session.regions.changed();
    if (job.kind === "track") {
      if (job.state === "done") notice("Tracking is done.");
      return;
    }
    await this.readRuns();
    const made = job.runs.at(-1);
    if (job.state === "done" && made) {
      studio.set({ run: made, view: "slider" });
      notice("The run is done.");
    }
  }
}
