/** All keys of the page: what is handled and what the help shows is one table. */

import { takesText } from "./dom";
import { studio, type ToolName, type ViewName } from "./state";

export interface Commands {
  tool(name: ToolName): void;
  view(name: ViewName): void;
  play(): void;
  step(by: number): void;
  jump(to: "first" | "last"): void;
  keyframe(direction: 1 | -1): void;
  region(index: number | null): void;
  brush(factor: number): void;
  overlay(): void;
  autoKey(): void;
  follow(): void;
  removeShape(): void;
  cancel(): void;
  undo(redo: boolean): void;
  save(): void;
  track(): void;
  run(): void;
  otherSide(): void;
  theme(): void;
  guide(): void;
  help(): void;
}

interface Key {
  /** `Ctrl+` stands for Cmd on a Mac too. */
  readonly keys: readonly string[];
  readonly does: string;
  readonly run: (commands: Commands) => void;
  /** Also while one types in the text. */
  readonly everywhere?: boolean;
  /** Also again and again while it is held. */
  readonly held?: boolean;
}

export const KEYS: readonly { group: string; keys: readonly Key[] }[] = [
  {
    group: "Tools",
    keys: [
      { keys: ["V"], does: "Select and move", run: (c) => c.tool("select") },
      { keys: ["P"], does: "Point; with Shift a place that is not part of it", run: (c) => c.tool("point") },
      { keys: ["B"], does: "Box", run: (c) => c.tool("box") },
      { keys: ["L"], does: "Polygon: click corners, or draw around it", run: (c) => c.tool("polygon") },
      { keys: ["M"], does: "Brush", run: (c) => c.tool("brush") },
      { keys: ["E"], does: "Eraser", run: (c) => c.tool("eraser") },
      { keys: ["["], does: "Smaller brush", run: (c) => c.brush(1 / 1.25), held: true },
      { keys: ["]"], does: "Larger brush", run: (c) => c.brush(1.25), held: true },
      { keys: ["A"], does: "Auto keyframe on or off", run: (c) => c.autoKey() },
      { keys: ["F"], does: "Follow new shapes on or off", run: (c) => c.follow() },
      { keys: ["Delete"], does: "Delete the chosen shape", run: (c) => c.removeShape() },
      { keys: ["Escape"], does: "Cancel what is being drawn", run: (c) => c.cancel() },
    ],
  },
  {
    group: "Regions",
    keys: [
      ...Array.from({ length: 9 }, (_, i) => ({ keys: [String(i + 1)], does: `Region ${i + 1}`, run: (c: Commands) => c.region(i) })),
      { keys: ["N"], does: "New region", run: (c) => c.region(null) },
      { keys: ["O"], does: "Show or hide regions", run: (c) => c.overlay() },
    ],
  },
  {
    group: "Time",
    keys: [
      { keys: ["Space"], does: "Play or pause", run: (c) => c.play() },
      { keys: [",", "ArrowLeft"], does: "Previous frame", run: (c) => c.step(-1), held: true },
      { keys: [".", "ArrowRight"], does: "Next frame", run: (c) => c.step(1), held: true },
      { keys: ["Shift+ArrowLeft"], does: "Ten frames back", run: (c) => c.step(-10), held: true },
      { keys: ["Shift+ArrowRight"], does: "Ten frames on", run: (c) => c.step(10), held: true },
      { keys: ["J"], does: "Previous keyframe", run: (c) => c.keyframe(-1), held: true },
      { keys: ["K"], does: "Next keyframe", run: (c) => c.keyframe(1), held: true },
      { keys: ["Home"], does: "First frame", run: (c) => c.jump("first") },
      { keys: ["End"], does: "Last frame", run: (c) => c.jump("last") },
    ],
  },
  {
    group: "View",
    keys: [
      { keys: ["C"], does: "Clip", run: (c) => c.view("clip") },
      { keys: ["X"], does: "Before and after under a slider", run: (c) => c.view("slider") },
      { keys: ["S"], does: "Side by side", run: (c) => c.view("side") },
      { keys: ["D"], does: "Difference", run: (c) => c.view("difference") },
      { keys: ["T"], does: "Dark or light", run: (c) => c.theme() },
      { keys: ["G"], does: "Show or hide the next step", run: (c) => c.guide() },
      { keys: ["?"], does: "This help", run: (c) => c.help() },
    ],
  },
  {
    group: "Spec",
    keys: [
      { keys: ["F6"], does: "Between text and picture", run: (c) => c.otherSide(), everywhere: true },
      { keys: ["Ctrl+S"], does: "Save", run: (c) => c.save(), everywhere: true },
      { keys: ["Ctrl+Enter"], does: "Run", run: (c) => c.run(), everywhere: true },
      { keys: ["Ctrl+Shift+Enter"], does: "Track", run: (c) => c.track(), everywhere: true },
      { keys: ["Ctrl+Z"], does: "Undo", run: (c) => c.undo(false), held: true },
      { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], does: "Redo", run: (c) => c.undo(true), held: true },
    ],
  },
];

/** Keys of the text that CodeMirror handles, for the help. */
export const TEXT_KEYS: readonly (readonly [string, string])[] = [
  ["Ctrl+Space", "Complete"], ["Alt+1 … 9", "Bind the selected words to a region"], ["F2", "Rename a region"],
  ["F12", "Go to definition"], ["F8", "Next finding"], ["Shift+Alt+F", "Format"], ["Ctrl+F", "Find"], ["Ctrl+/", "Comment out"],
];

/** Keys of the picture when it has the focus. */
export const PICTURE_KEYS: readonly (readonly [string, string])[] = [
  ["Arrows", "Move the cross, or the chosen shape"], ["Shift+Arrows", "Move further"],
  ["Enter", "Place; with Shift: not part of it, or close the polygon"],
];

/** The name of a pressed key, as in the table. */
export function nameOf(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey">): string {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const control = event.ctrlKey || event.metaKey;
  const letter = /^[A-Z]$/.test(key) || key.length > 1;
  return `${control ? "Ctrl+" : ""}${event.shiftKey && letter ? "Shift+" : ""}${key}`;
}

export function listen(commands: Commands): void {
  const table = new Map(KEYS.flatMap(({ keys }) => keys.flatMap((key) => key.keys.map((name) => [name, key] as const))));
  const act = (event: KeyboardEvent, early: boolean) => {
    if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
    const found = table.get(nameOf(event));
    if (!found || (found.everywhere ?? false) !== early) return;
    if (!early && (takesText(event.target) || keptByControl(event))) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat || found.held) found.run(commands);
  };
  // Keys that are for the whole page come before the editor's own.
  document.addEventListener("keydown", (event) => act(event, true), { capture: true });
  document.addEventListener("keydown", (event) => act(event, false));
}

/** Space and arrows do what they do on the button or tab that has the focus. */
function keptByControl(event: KeyboardEvent): boolean {
  const control = event.target instanceof HTMLElement && event.target.closest("button, [role=tab], [role=separator], input");
  return Boolean(control) && !event.ctrlKey && [" ", "ArrowLeft", "ArrowRight", "Enter"].includes(event.key);
}

/** The region with that place in the text. */
export const regionAt = (index: number): string | null => studio.now.written[index]?.name ?? null;
