/** Earlier runs of this spec, the newest first. */

import type { Run } from "../api";
import { fill, h } from "../dom";
import { duration } from "./jobs";
import { counted, warningsList } from "./warnings";

export interface RunActions {
  open(run: Run): void;
  report(run: Run): void;
}

export function runsList(body: HTMLElement, runs: readonly Run[], chosen: string | null, actions: RunActions): void {
  if (!runs.length) return fill(body, h("p", { class: "empty" }, "No runs of this spec yet."));
  const list = h("ul", { class: "runs" });
  list.append(...runs.map((run) => row(run, run.name === chosen, actions)));
  fill(body, list);
}

/** What the run has otherwise than the one before it. */
export function differs({ same, changes }: Pick<Run, "same" | "changes">): string {
  if (same) return `The same as ${same}`;
  return changes.length ? `Changed: ${changes.join(", ")}` : "";
}

function row(run: Run, chosen: boolean, actions: RunActions): HTMLElement {
  const made = new Date(run.made * 1000);
  const warnings = run.warnings.length ? counted(run.warnings.length) : "";
  const facts = [made.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }), duration(run.seconds), warnings, run.complete ? "" : "incomplete"];
  return h(
    "li", { class: `run${chosen ? " chosen" : ""}` },
    h("button", { class: "run-row", "aria-pressed": String(chosen), onclick: () => actions.open(run) },
      h("b", {}, run.name), run.variant ? h("span", { class: "tag" }, run.variant) : null,
      h("span", { class: "muted" }, facts.filter(Boolean).join(" · ")),
      h("span", { class: "run-target" }, run.target),
      differs(run) ? h("span", { class: "muted" }, differs(run)) : null),
    run.report ? h("button", { class: "small", onclick: () => actions.report(run) }, "Report") : null,
    warningsList(run.warnings),
  );
}
