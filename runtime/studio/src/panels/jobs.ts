/** Tracking and runs: what is under way, what waits, what was done. */

import type { Job } from "../api";
import { fill, h } from "../dom";
import { warningsList } from "./warnings";

export interface JobActions {
  cancel(job: Job): void;
  again(job: Job): void;
  open(run: string): void;
}

const STATES: Record<Job["state"], string> = {
  waiting: "waiting", running: "running", cancelling: "cancelling", done: "done", failed: "failed", cancelled: "cancelled",
};

export const active = (job: Job): boolean => ["waiting", "running", "cancelling"].includes(job.state);

/** Of two states of a job the later one: the answer to a request may come after what was told since. */
export const newer = (before: Job, told: Job): Job => (told.revision < before.revision ? before : told);

/** How long a job has run by now: between what is told of it, its time goes on. */
export function elapsed(job: Job, now: number): number | null {
  const runs = job.state === "running" || job.state === "cancelling";
  return runs && job.seconds !== null && job.told !== undefined ? job.seconds + Math.max(0, now - job.told) / 1000 : job.seconds;
}

/** The words of a job's count and time. */
const facts = (job: Job): string => {
  const count = job.total > 0 && active(job) ? `${job.done} / ${job.total}` : "";
  return [count, duration(elapsed(job, performance.now()))].filter(Boolean).join(" · ");
};

/** Write the seconds of jobs that run, as they pass. */
export function tick(body: HTMLElement, jobs: readonly Job[]): void {
  for (const job of jobs) {
    const place = active(job) && body.querySelector(`[data-job="${CSS.escape(job.job)}"] .job-facts`);
    if (place) place.textContent = facts(job);
  }
}

/** Share of a job that is done; null while that is unknown. */
export const progress = (job: Job): number | null => (job.state === "done" ? 1 : job.total > 0 ? job.done / job.total : null);

export function duration(seconds: number | null): string {
  if (seconds === null) return "";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

const AGAIN = {
  Resume: "Goes on after what is done",
  "Start again": "Begins anew: tracking resumes after a tracked frame, a run after its inversion",
  Retry: "Tries the same again",
};

/** What the button is called that starts a job again; null while that makes no sense. */
export function again(job: Pick<Job, "state" | "resumes">): keyof typeof AGAIN | null {
  if (job.state === "cancelled") return job.resumes ? "Resume" : "Start again";
  return job.state === "failed" ? "Retry" : null;
}

export function jobsList(body: HTMLElement, jobs: readonly Job[], actions: JobActions): void {
  if (!jobs.length)
    return fill(body, h("p", { class: "empty" }, "No jobs yet. ", h("b", {}, "Track"), " follows what points and boxes show; ", h("b", {}, "Run"), " makes the edit."));
  const list = h("ul", { class: "jobs" });
  list.append(...[...jobs].reverse().map((job) => row(job, isRepeated(job, jobs), actions)));
  fill(body, list);
}

/** Whether a job was started again since. */
export const isRepeated = (job: Job, jobs: readonly Job[]): boolean =>
  jobs.slice(jobs.indexOf(job) + 1).some(({ kind, variant }) => kind === job.kind && variant === job.variant);

function row(job: Job, repeated: boolean, actions: JobActions): HTMLElement {
  const share = progress(job);
  const title = `${job.kind === "track" ? "Track" : "Run"}${job.variant ? ` · ${job.variant}` : ""}`;
  const bar = h("div", {
    class: `bar ${job.state}${share === null && active(job) ? " unknown" : ""}`, role: "progressbar", "aria-label": title,
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": share === null ? null : Math.round(share * 100),
  }, h("div", { style: `width:${Math.round((share ?? (active(job) ? 0.3 : 0)) * 100)}%` }));
  const message = job.error ? [job.error.message, job.error.cure].filter(Boolean).join(". ") : (job.message ?? job.stage ?? "");
  const buttons = h("span", { class: "buttons" });
  if (active(job)) buttons.append(h("button", { class: "small", disabled: job.state === "cancelling", onclick: () => actions.cancel(job) }, "Cancel"));
  const name = repeated ? null : again(job);
  if (name) buttons.append(h("button", { class: "small", title: AGAIN[name], onclick: () => actions.again(job) }, name));
  const run = job.runs.at(-1);
  if (job.state === "done" && run) buttons.append(h("button", { class: "small", onclick: () => actions.open(run) }, "Compare"));
  return h(
    "li", { class: `job ${job.state}`, "data-job": job.job },
    h("div", { class: "job-head" }, h("b", {}, title), h("span", { class: "state" }, STATES[job.state]),
      h("span", { class: "muted job-facts" }, facts(job)), buttons),
    bar,
    warningsList(job.findings.filter(({ severity }) => severity !== "error").reverse()), // the newest first
    message ? h("div", { class: job.error ? "job-error" : "muted job-message", title: message }, message) : null,
  );
}
