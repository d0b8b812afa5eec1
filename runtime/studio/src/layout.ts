/** The page's parts and where they are. Each part is filled by its own module. */

import { h } from "./dom";

export interface Layout {
  readonly top: HTMLElement;
  readonly editor: HTMLElement;
  readonly dock: HTMLElement;
  readonly views: HTMLElement;
  readonly regions: HTMLElement;
  readonly guide: HTMLElement;
  readonly tools: HTMLElement;
  readonly stage: HTMLElement;
  readonly transport: HTMLElement;
  readonly timeline: HTMLElement;
  readonly notices: HTMLElement;
}

export function makeLayout(root: HTMLElement): Layout {
  const part = (name: string, attributes: Record<string, string> = {}) => h("div", { class: name, ...attributes });
  const layout: Layout = {
    top: h("header", { class: "top" }),
    editor: part("editor"),
    dock: part("dock"),
    views: part("views"),
    regions: part("regions", { role: "group", "aria-label": "Regions" }),
    guide: part("guide", { role: "region", "aria-label": "Next step" }),
    tools: part("tools", { role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" }),
    stage: part("stage"),
    transport: part("transport", { role: "toolbar", "aria-label": "Playback" }),
    timeline: part("lanes"),
    notices: part("notices", { role: "status", "aria-live": "polite" }),
  };
  const text = h("section", { class: "text-side", "aria-label": "Text" }, layout.editor, splitter("row", "--dock"), layout.dock);
  const picture = h(
    "section", { class: "clip-side", "aria-label": "Clip" },
    layout.views, layout.regions, layout.guide, h("div", { class: "stage-row" }, layout.tools, layout.stage, layout.notices),
    layout.transport, layout.timeline,
  );
  const main = h("main", { class: "main" }, text, splitter("column", "--text-side"), picture);
  root.append(layout.top, main);
  return layout;
}

/** A divider that is dragged, or moved with arrow keys. Its position is kept in the browser. */
function splitter(direction: "row" | "column", variable: string): HTMLElement {
  const vertical = direction === "column";
  const bar = h("div", {
    class: `splitter ${direction}`, role: "separator", tabindex: 0,
    "aria-orientation": vertical ? "vertical" : "horizontal",
    "aria-label": vertical ? "Width of the text" : "Height of the panels",
  });
  const root = document.documentElement;
  const stored = localStorage.getItem(`grain${variable}`);
  if (stored) root.style.setProperty(variable, stored);
  const set = (share: number) => {
    const value = `${(Math.min(0.75, Math.max(0.15, share)) * 100).toFixed(2)}%`;
    root.style.setProperty(variable, value);
    localStorage.setItem(`grain${variable}`, value);
  };
  const share = (x: number, y: number) => {
    const box = bar.parentElement!.getBoundingClientRect();
    return vertical ? (x - box.left) / box.width : 1 - (y - box.top) / box.height;
  };
  bar.addEventListener("pointerdown", (event) => bar.setPointerCapture(event.pointerId));
  bar.addEventListener("pointermove", (event) => {
    if (bar.hasPointerCapture(event.pointerId)) set(share(event.clientX, event.clientY));
  });
  bar.addEventListener("dblclick", () => {
    root.style.removeProperty(variable);
    localStorage.removeItem(`grain${variable}`);
  });
  bar.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02 }[event.key];
    if (!by) return;
    const box = bar.getBoundingClientRect();
    set(share(box.left, box.top) + by);
    event.preventDefault();
  });
  return bar;
}
