/** What to work on: a clip that is dropped, a clip of the folder, or a spec of it. */

import { api, described, type Spec } from "./api";
import { fill, h } from "./dom";
import { icon } from "./icons";
import { notice } from "./notices";
import { studio } from "./state";

/** Leave the open spec, if there is one, for another. */
export type Leave = (opening: () => Promise<Spec>) => Promise<void>;

/** Take clips that are dropped anywhere on the page. */
export function acceptDrops(leave: Leave): void {
  const over = (yes: boolean) => document.body.classList.toggle("dropping", yes);
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => !event.relatedTarget && over(false));
  document.addEventListener("drop", (event) => {
    over(false);
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    void upload(file, leave);
  });
}

async function upload(file: File, leave: Leave): Promise<void> {
  notice(`Reading ${file.name} …`);
  try {
    await leave(() => api.newFromFile(file));
  } catch (error) {
    notice(described(error), "error");
  }
}

export async function showStart(stage: HTMLElement, leave: Leave): Promise<HTMLElement> {
  const choose = h("input", { type: "file", accept: "video/*,image/gif", hidden: true, onchange: () => choose.files?.[0] && void upload(choose.files[0], leave) });
  const list = h("ul", { class: "clips" });
  const start = h(
    "div", { class: "start" },
    h("h1", {}, "Drop a clip here"),
    h("p", { class: "muted" }, "The studio writes a first spec for it: the clip's facts, a region or two, and comments that explain."),
    h("button", { class: "primary", onclick: () => choose.click() }, "Choose a clip …"), choose, list,
  );
  stage.append(start);
  const { specs } = await api.specs().catch(() => ({ specs: [] as string[] }));
  if (specs.length) start.append(h("p", { class: "muted" }, "Or go on with a spec:"), specList(specs, leave));
  const { clips } = await api.clips().catch(() => ({ clips: [] as string[] }));
  const open = (clip: string) => leave(() => api.newFromPath(clip)).catch((error: unknown) => notice(described(error), "error"));
  if (clips.length) fill(list, h("li", { class: "muted" }, "Or one of this folder:"), ...clips.slice(0, 12).map((clip) => h("li", {}, h("button", { class: "quiet", onclick: () => void open(clip) }, clip))));
  return start;
}

/** Buttons that open specs of the folder; `done` is called before one is. */
function specList(specs: readonly string[], leave: Leave, done: () => void = () => undefined): HTMLElement {
  const list = h("ul", { class: "clips" });
  const open = (spec: string) => {
    done();
    leave(() => api.open(spec)).catch((error: unknown) => notice(described(error), "error"));
  };
  list.append(...specs.map((spec) => h("li", {}, h("button", { class: "quiet", onclick: () => open(spec) }, spec))));
  return list;
}

/** Choose another spec of the folder. */
export async function chooseSpec(leave: Leave): Promise<void> {
  try {
    const { specs } = await api.specs();
    const dialog = h("dialog", { class: "specs", "aria-label": "Open a spec" });
    const close = h("button", { class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
    const list = specList(specs.filter((spec) => spec !== studio.now.path), leave, () => dialog.close());
    const none = list.childElementCount ? null : h("p", { class: "muted" }, "The folder has no other spec.");
    dialog.append(h("header", {}, h("h2", {}, "Open a spec"), close), none ?? list);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  } catch (error) {
    notice(described(error), "error");
  }
}
