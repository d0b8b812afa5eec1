/** The top bar: the file, the variant, track and run, theme and help. */

import { fill, h } from "./dom";
import { icon } from "./icons";
import { active, progress } from "./panels/jobs";
import { studio } from "./state";

export interface TopActions {
  open(): void;
  save(): void;
  track(): void;
  run(): void;
  theme(): void;
  help(): void;
}

export function makeTopBar(bar: HTMLElement, actions: TopActions): void {
  const path = h("span", { class: "path" });
  const open = h("button", { class: "quiet", title: "Open another spec of the folder", onclick: actions.open }, "Open …");
  const state = h("button", { class: "save quiet", title: "Save (Ctrl+S)", onclick: actions.save });
  const variant = h("select", { "aria-label": "Variant", title: "Variant", onchange: () => studio.set({ variant: variant.value || null }) });
  const track = h("button", { title: "Follow what points and boxes show (Ctrl+Shift+Enter)", onclick: actions.track }, "Track");
  const run = h("button", { class: "primary", title: "Make the edit (Ctrl+Enter)", onclick: actions.run }, "Run");
  const working = h("span", { class: "working", "aria-hidden": "true" }, h("span", {}));
  const language = h("span", { class: "language", role: "status" });
  bar.append(
    h("span", { class: "brand" }, h("span", { class: "mark", "aria-hidden": "true" }), "grain studio"),
    path, open, state, h("span", { class: "space" }), language, working, variant, track, run,
    h("button", { class: "quiet icon-only", "aria-label": "Dark or light", title: "Dark or light (T)", onclick: actions.theme }, icon("theme")),
    h("button", { class: "quiet icon-only", "aria-label": "Keys", title: "Keys (?)", onclick: actions.help }, icon("help")),
  );
  studio.watch(["path", "saved"], ({ path: name, saved }) => {
    path.textContent = name;
    path.title = name;
    state.textContent = !name ? "" : saved ? "Saved" : "Save";
    state.classList.toggle("unsaved", !saved);
    state.disabled = saved;
    document.title = `${saved ? "" : "• "}${name || "grain studio"}`;
    track.disabled = run.disabled = !name;
  });
  studio.watch(["connected", "path"], ({ connected, path: name }) => {
    language.textContent = connected || !name ? "" : "Connecting …";
  });
  studio.watch(["variants", "variant"], ({ variants, variant: chosen }) => {
    const options = [["", "Main edit"], ...variants.map((name) => [name, name]), ["all", "All"]] as [string, string][];
    fill(variant, ...options.map(([value, label]) => h("option", { value, selected: value === (chosen ?? "") }, label)));
    variant.hidden = !variants.length;
  });
  studio.watch(["jobs"], ({ jobs }) => {
    const current = jobs.find((job) => job.state === "running") ?? jobs.find(active);
    working.style.visibility = current ? "visible" : "hidden";
    const inner = working.firstElementChild as HTMLElement;
    inner.style.width = `${Math.round((current ? (progress(current) ?? 0.15) : 0) * 100)}%`;
  });
}
