/** The bars around the picture: tools, regions, views, playback. */

import { fill, h } from "./dom";
import { icon, type IconName } from "./icons";
import type { Layout } from "./layout";
import { counted } from "./panels/warnings";
import { colourOf, currentRun, studio, type ToolName, type ViewName } from "./state";

export interface BarActions {
  tool(name: ToolName): void;
  view(name: ViewName): void;
  play(): void;
  step(by: number): void;
  keyframe(direction: 1 | -1): void;
  region(name: string | null): void;
  rename(name: string): void;
  overlay(): void;
  autoKey(): void;
  follow(): void;
  /** Show earlier runs, with their warnings. */
  runs(): void;
}

const TOOLS: readonly (readonly [ToolName, string, string])[] = [
  ["select", "Select and move", "V"], ["point", "Point", "P"], ["box", "Box", "B"], ["polygon", "Polygon", "L"],
  ["brush", "Brush", "M"], ["eraser", "Eraser", "E"],
];

const VIEWS: readonly (readonly [ViewName, string, string])[] = [
  ["clip", "Clip", "C"], ["slider", "Slider", "X"], ["side", "Side by side", "S"], ["difference", "Difference", "D"],
];

function iconButton(name: IconName, label: string, key: string, run: () => void): HTMLButtonElement {
  return h("button", { class: "tool", "aria-label": label, title: key ? `${label} (${key})` : label, "aria-keyshortcuts": key || null, onclick: run }, icon(name));
}

const pressed = (button: HTMLElement, yes: boolean): void => button.setAttribute("aria-pressed", String(yes));

export function makeBars(layout: Layout, actions: BarActions): void {
  toolBar(layout.tools, actions);
  viewBar(layout.views, actions);
  regionBar(layout.regions, actions);
  transportBar(layout.transport, actions);
}

function toolBar(bar: HTMLElement, actions: BarActions): void {
  const buttons = TOOLS.map(([name, label, key]) => [name, iconButton(name, label, key, () => actions.tool(name))] as const);
  const auto = iconButton("key", "Auto keyframe: a dragged shape gets a keyframe at the playhead", "A", actions.autoKey);
  const follow = iconButton("follow", "Follow: the tracker follows new boxes and polygons", "F", actions.follow);
  const overlay = iconButton("eye", "Show regions", "O", actions.overlay);
  bar.append(...buttons.map(([, button]) => button), h("hr"), auto, follow, overlay);
  studio.watch(["tool", "autoKey", "follow", "overlay", "view", "clip"], ({ tool, autoKey, follow: following, overlay: shown, view, clip }) => {
    for (const [name, button] of buttons) {
      pressed(button, name === tool);
      button.disabled = view !== "clip" || !clip;
    }
    for (const button of [auto, follow, overlay]) button.disabled = !clip;
    pressed(auto, autoKey);
    pressed(follow, following);
    pressed(overlay, shown);
  });
}

function viewBar(bar: HTMLElement, actions: BarActions): void {
  const group = h("div", { class: "segments", role: "group", "aria-label": "View" });
  const buttons = VIEWS.map(([name, label, key]) => [name, h("button", { title: `${label} (${key})`, "aria-keyshortcuts": key, onclick: () => actions.view(name) }, label)] as const);
  group.append(...buttons.map(([, button]) => button));
  const facts = h("span", { class: "clip-facts muted" });
  const picker = h("select", { "aria-label": "Run", onchange: () => studio.set({ run: picker.value }) });
  const warned = h("button", { class: "small warned", onclick: actions.runs });
  bar.append(group, picker, warned, facts);
  studio.watch(["view", "runs", "run", "clip"], ({ view, runs, run, clip }) => {
    for (const [name, button] of buttons) {
      pressed(button, name === view);
      button.disabled = !clip || (name !== "clip" && !runs.length);
    }
    const warnings = view === "clip" ? [] : (currentRun()?.warnings ?? []);
    warned.hidden = !warnings.length;
    warned.title = warnings.map(({ message }) => message).join("\n");
    fill(warned, icon("warning"), counted(warnings.length));
    fill(picker, ...runs.map((each) => h("option", { value: each.name, selected: each.name === run }, each.name)));
    picker.style.visibility = view === "clip" || !runs.length ? "hidden" : "visible";
  });
  studio.watch(["clip", "view", "run", "runs"], ({ clip, view }) => {
    const run = view === "clip" ? null : currentRun();
    const words = run
      ? `${run.width} × ${run.height} · ${run.frames.length} frames`
      : clip ? `${clip.width} × ${clip.height} · ${clip.frames} frames · ${Number(clip.fps.toFixed(2))} fps` : "";
    facts.textContent = words;
    facts.title = run ? run.name : (clip?.path ?? "");
  });
}

function regionBar(bar: HTMLElement, actions: BarActions): void {
  studio.watch(["written", "regions", "region", "clip"], ({ written, regions, region, clip }) => {
    const focused = document.activeElement instanceof HTMLElement && bar.contains(document.activeElement) ? document.activeElement.dataset["region"] : undefined;
    const chips = written.map(({ name }, i) => {
      const facts = regions.find((each) => each.name === name);
      const share = facts?.share == null ? "" : facts.empty ? "empty" : `${(facts.share * 100).toFixed(facts.share < 0.1 ? 1 : 0)}%`;
      const state = facts?.tracked === false ? "untracked" : facts?.lost ? "lost" : facts?.doubtful ? "doubtful" : "";
      const title = [name, facts?.phrase && `“${facts.phrase}”`, facts?.use && facts.use !== "edit" ? facts.use : "", state && (state === "untracked" ? state : `${state} on this frame`), "double-click renames"].filter(Boolean).join(" · ");
      return h(
        "button", {
          class: `chip${name === region ? " chosen" : ""}`, "aria-pressed": String(name === region), "data-region": name, title,
          onclick: () => actions.region(name), ondblclick: () => actions.rename(name),
        },
        h("span", { class: "dot", style: `background:${colourOf(name)}` }), name,
        h("span", { class: `share ${state}` }, state || share), i < 9 && h("kbd", {}, String(i + 1)),
      );
    });
    const add = h("button", { class: `chip new${region === null ? " chosen" : ""}`, "aria-pressed": String(region === null), "data-region": "", title: "Gestures make a new region (N)", disabled: !clip, onclick: () => actions.region(null) }, icon("add"), "New region", h("kbd", {}, "N"));
    fill(bar, ...chips, add);
    bar.querySelector(".chosen")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (focused !== undefined) bar.querySelector<HTMLElement>(`[data-region="${CSS.escape(focused)}"]`)?.focus();
  });
}

function transportBar(bar: HTMLElement, actions: BarActions): void {
  const play = iconButton("play", "Play", "Space", actions.play);
  const time = h("span", { class: "time" });
  const hint = h("span", { class: "hint muted" });
  const buttons = [
    iconButton("keyPrevious", "Previous keyframe", "J", () => actions.keyframe(-1)),
    iconButton("previous", "Previous frame", ",", () => actions.step(-1)), play,
    iconButton("next", "Next frame", ".", () => actions.step(1)),
    iconButton("keyNext", "Next keyframe", "K", () => actions.keyframe(1)),
  ];
  bar.append(...buttons, time, hint);
  studio.watch(["clip"], ({ clip }) => {
    for (const button of buttons) button.disabled = !clip;
  });
  studio.watch(["playing"], ({ playing }) => {
    fill(play, icon(playing ? "pause" : "play"));
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
  });
  studio.watch(["frame", "clip"], ({ frame, clip }) => {
    if (clip) time.textContent = `${String(frame).padStart(String(clip.frames - 1).length, "0")} / ${clip.frames - 1}   ${(frame / (clip.fps || 1)).toFixed(2)} s`;
  });
  studio.watch(["tool", "region", "view", "clip"], ({ tool, region, view, clip }) => {
    hint.textContent = clip ? hintFor(tool, region, view) : "";
  });
}

function hintFor(tool: ToolName, region: string | null, view: ViewName): string {
  if (view === "slider") return "Drag across the picture";
  if (view !== "clip") return "";
  const where = region ?? "a new region";
  const hints: Record<ToolName, string> = {
    select: "Drag a shape or its handles",
    point: `Click: part of ${where}. Shift-click: not part of it`,
    box: `Drag a box for ${where}`,
    polygon: `Click corners of ${where}, double-click to close; or draw around it`,
    brush: `Paint ${where}. [ and ] change the size`,
    eraser: `Erase from ${where}. [ and ] change the size`,
  };
  return hints[tool];
}
