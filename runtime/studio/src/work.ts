/** Jobs and runs: begun, watched, cancelled, compared. */

import { api, described, type Job, type Run } from "./api";
import { dropNotice, notice } from "./notices";
import { active, newer } from "./panels/jobs";
import { counted } from "./panels/warnings";
import type { Session } from "./session";
import { connect } from "./socket";
import { studio } from "./state";

interface Events {
  spec?: { path: string; version: string | number };
  job?: string;
}

/** The warning that the demo model cannot show the clip: the run is for nothing. */
const STRANGE = "G511";

const words = ({ message, cure }: { message: string; cure?: string | null }): string => [message, cure].filter(Boolean).join(". ");

export class Work {
  /** Show how jobs went. */
  showJobs: () => void = () => undefined;
  /** Whether something is being drawn or dragged: the view stays. */
  busy: () => boolean = () => false;
  /** Jobs that are asked for and not there yet. */
  private readonly beginning = new Set<string>();

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
    const name = `${kind} ${variant ?? ""}`;
    if (this.beginning.has(name) || studio.now.jobs.some((job) => active(job) && job.kind === kind && job.variant === variant)) {
      notice(`This ${kind === "track" ? "tracking" : "run"} is under way already.`);
      return;
    }
    this.beginning.add(name);
    try {
      await this.session.save();
      this.update(await api.begin(studio.now.path, kind, this.session.text, variant, []));
    } catch (error) {
      notice(described(error), "error");
    } finally {
      this.beginning.delete(name);
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
    if (active(job)) this.warn(job, before);
    if (before && active(before) && !active(job)) void this.ended(job);
    else if (before?.stage === "track" && job.stage !== "track") this.session.filesChanged(); // a run has tracked
  }

  /** Say at once, while it can be cancelled, that a run is for nothing. */
  private warn(job: Job, before: Job | undefined): void {
    const strange = job.findings.find(({ code }) => code === STRANGE);
    if (!strange || before?.findings.some(({ code }) => code === STRANGE)) return;
    notice(words(strange), "error", [{ label: "Cancel the run", run: () => void this.cancel(job) }]);
  }

  private async ended(job: Job): Promise<void> {
    const name = job.kind === "track" ? "Tracking" : "The run";
    if (job.state === "failed") notice(job.error ? words(job.error) : `${name} failed.`, "error");
    const strange = job.findings.find(({ code }) => code === STRANGE);
    if (strange) dropNotice(words(strange)); // it cannot be cancelled any more
    studio.set({ doubtful: {} });
    this.session.filesChanged(); // a run tracks what is not tracked yet
    if (job.kind === "track") {
      if (job.state === "done") notice("Tracking is done.");
      return;
    }
    await this.readRuns();
    const made = job.runs.at(-1);
    if (job.state === "done" && made) {
      const busy = this.busy();
      studio.set({ run: made, ...(busy ? {} : { view: "slider" }) });
      const compare = busy ? [{ label: "Compare", run: () => studio.set({ run: made, view: "slider" }) }] : [];
      const count = job.findings.length;
      if (!count) notice("The run is done.", "info", compare);
      else notice(`The run is done, with ${counted(count)}.`, "warning", [...compare, { label: "Show", run: this.showJobs }]);
    }
  }
}
