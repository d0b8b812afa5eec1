/** Tracking and runs: what is under way, what waits, what was done. */

import type { Job } from "../api";
import { fill, h } from "../dom";

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
export function newer(before: Job, told: Job): Job {
  const order = (job: Job): number => ["waiting", "running", "cancelling"].indexOf(job.state) + (active(job) ? 0 : 4);
  return order(told) < order(before) ? before : told;
}

/** Share of a job that is done; null while that is unknown. */
export const progress = (job: Job): number | null => (job.state === "done" ? 1 : job.total > 0 ? job.done / job.total : null);

export function duration(seconds: number | null): string {
  if (seconds === null) return "";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export function jobsList(body: HTMLElement, jobs: readonly Job[], actions: JobActions): void {
  if (!jobs.length)
    return fill(body, h("p", { class: "empty" }, "No jobs yet. ", h("b", {}, "Track"), " follows what points and boxes show; ", h("b", {}, "Run"), " makes the edit."));
  const list = h("ul", { class: "jobs" });
  list.append(...[...jobs].reverse().map((job) => row(job, actions)));
  fill(body, list);
}

function row(job: Job, actions: JobActions): HTMLElement {
  const share = progress(job);
  const title = `${job.kind === "track" ? "Track" : "Run"}${job.variant ? ` · ${job.variant}` : ""}`;
  const bar = h("div", {
    class: `bar ${job.state}${share === null && active(job) ? " unknown" : ""}`, role: "progressbar", "aria-label": title,
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": share === null ? null : Math.round(share * 100),
  }, h("div", { style: `width:${Math.round((share ?? (active(job) ? 0.3 : 0)) * 100)}%` }));
  const message = job.error ? [job.error.message, job.error.cure].filter(Boolean).join(". ") : (job.message ?? job.stage ?? "");
  const count = job.total > 0 && active(job) ? `${job.done} / ${job.total}` : "";
  const buttons = h("span", { class: "buttons" });
  if (active(job)) buttons.append(h("button", { class: "small", disabled: job.state === "cancelling", onclick: () => actions.cancel(job) }, "Cancel"));
  if (job.state === "cancelled" || job.state === "failed") buttons.append(h("button", { class: "small", onclick: () => actions.again(job) }, job.state === "cancelled" ? "Resume" : "Retry"));
  const run = job.runs.at(-1);
  if (job.state === "done" && run) buttons.append(h("button", { class: "small", onclick: () => actions.open(run) }, "Compare"));
  return h(
    "li", { class: `job ${job.state}` },
    h("div", { class: "job-head" }, h("b", {}, title), h("span", { class: "state" }, STATES[job.state]),
      h("span", { class: "muted" }, [count, duration(job.seconds)].filter(Boolean).join(" · ")), buttons),
    bar,
    message ? h("div", { class: job.error ? "job-error" : "muted job-message", title: message }, message) : null,
  );
}
