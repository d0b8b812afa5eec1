/** Short notices at the picture's lower edge. Errors stay until they are closed. */

import { h } from "./dom";
import { icon } from "./icons";
import { inline } from "./language/markdown";

let place: HTMLElement | null = null;

export const showNoticesIn = (element: HTMLElement): void => {
  place = element;
};

export interface NoticeAction {
  readonly label: string;
  run(): void;
}

/** What a notice is about that a change of the text may have mended, and that a saved file has. */
export const OF_TEXT = "text";
export const OF_SAVING = "saving";

/** Close the notices about something whose cause is gone. */
export function dropNotices(about: string): void {
  for (const old of [...(place?.children ?? [])]) if (old.getAttribute("data-about") === about) old.remove();
}

export function dropNotice(message: string): void {
  for (const old of [...(place?.children ?? [])]) if (old.getAttribute("data-message") === message) old.remove();
}

export function notice(message: string, kind: "info" | "warning" | "error" = "info", actions: readonly NoticeAction[] = [], about: string | null = null): void {
  if (!place) return;
  dropNotice(message);
  const box = h("div", { class: `notice ${kind}`, "data-message": message, "data-about": about, role: kind !== "info" ? "alert" : null }, h("span", {}, ...inline(message)));
  for (const { label, run } of actions)
    box.append(h("button", { class: "small", onclick: () => (box.remove(), run()) }, label));
  box.append(h("button", { class: "quiet", "aria-label": "Close", onclick: () => box.remove() }, icon("close")));
  place.append(box);
  while (place.children.length > 3) place.firstElementChild!.remove();
  if (kind === "info" && !actions.length) setTimeout(() => box.remove(), 4500);
}
