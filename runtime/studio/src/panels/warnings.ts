/** Warnings of a plan, a job or a run. */

import type { Warning } from "../api";
import { h } from "../dom";
import { inline } from "../language/markdown";
import { inPage, sentence } from "./page_words";

export const counted = (count: number): string => `${count} ${count === 1 ? "warning" : "warnings"}`;

const warning = ({ code, message, cure }: Warning): HTMLElement => {
  const words = h("span", { class: "finding-words" });
  words.append(...inline(inPage([sentence(message), cure].filter(Boolean).join(" "))));
  return h("li", { class: "finding warning" },
    h("div", { class: "finding-row" },
      h("span", { class: "severity", title: "warning", "aria-label": "warning" }), words, h("span", { class: "code" }, code)));
};

export function warningsList(list: readonly Warning[]): HTMLElement | null {
  if (!list.length) return null;
  const made = h("ul", { class: "findings" });
  made.append(...list.map(warning));
  return made;
}
