/** The line that says the next step. It can be closed; the key G has it back. */

import { fill, h } from "./dom";
import { icon } from "./icons";
import { inline } from "./language/markdown";
import { nextStep, type Deed } from "./next_step";
import { studio } from "./state";

const KEPT = "grain-guide";
/** An edit's words are not in the target prompt. */
const UNBOUND = "G104";

export function showGuide(yes: boolean): void {
  studio.set({ guide: yes });
  localStorage.setItem(KEPT, yes ? "shown" : "closed");
}

export function makeGuide(bar: HTMLElement, act: (deed: Deed) => void): void {
  const words = h("p", { role: "status" });
  const button = h("button", { class: "small" });
  const close = h("button", { class: "quiet icon-only", "aria-label": "Hide the next step", title: "Hide the next step (G)", onclick: () => showGuide(false) }, icon("close"));
  bar.append(words, button, close);
  let deed: Deed | undefined;
  button.addEventListener("click", () => deed && act(deed));
  studio.set({ guide: localStorage.getItem(KEPT) !== "closed" });
  studio.watch(["guide", "clip", "written", "regions", "prompts", "findings", "errors", "jobs", "runs"], (now) => {
    const codes = [...now.errors, ...now.findings.filter(({ severity }) => severity === "error").map(({ code }) => code)];
    const known = { ...now, broken: !now.regions.length && codes.some((code) => code !== UNBOUND), unbound: codes.includes(UNBOUND) };
    const step = now.guide ? nextStep(known) : null;
    bar.hidden = !step;
    if (!step || words.dataset["words"] === step.words) return;
    words.dataset["words"] = step.words;
    fill(words, h("span", { class: "lead" }, "Next: "), ...inline(step.words));
    deed = step.deed;
    button.hidden = !deed;
    button.textContent = step.label ?? "";
  });
}
