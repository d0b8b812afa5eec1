/** The page while no spec is open: drop a clip, or choose one of the folder. */

import { api, described, type Spec } from "./api";
import { fill, h } from "./dom";
import { notice } from "./notices";

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
  const { clips } = await api.clips().catch(() => ({ clips: [] as string[] }));
  const open = (clip: string) => leave(() => api.newFromPath(clip)).catch((error: unknown) => notice(described(error), "error"));
  if (clips.length) fill(list, h("li", { class: "muted" }, "Or one of this folder:"), ...clips.slice(0, 12).map((clip) => h("li", {}, h("button", { class: "quiet", onclick: () => void open(clip) }, clip))));
  return start;
}
