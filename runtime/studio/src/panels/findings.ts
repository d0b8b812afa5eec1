/** What is wrong with the spec, as the editor marks it and as binding its regions found it. */

import { fill, h } from "../dom";
import { inline } from "../language/markdown";
import { inPage, sentence } from "./page_words";

/** A finding with its place in the text, if it has one. */
export interface Listed {
  readonly severity: "error" | "warning" | "info";
  readonly code: string;
  readonly message: string;
  readonly cure: string | null;
  readonly line: number | null;
  readonly from: number | null;
  readonly fixes: readonly { title: string; apply(): void }[];
}

export function findingsList(body: HTMLElement, list: readonly Listed[], show: (from: number) => void): void {
  if (!list.length) return fill(body, h("p", { class: "empty" }, "No findings."));
  const rows = list.map((finding) => {
    const words = h("span", { class: "finding-words" });
    words.append(...inline(inPage(finding.cure ? sentence(finding.message) : finding.message)));
    if (finding.cure) {
      const cure = h("span", { class: "cure" });
      cure.append(...inline(inPage(finding.cure)));
      words.append(cure);
    }
    const row = h(
      "li",
      { class: `finding ${finding.severity}` },
      h("button", { class: "finding-row", disabled: finding.from === null, onclick: () => finding.from !== null && show(finding.from) },
        h("span", { class: "severity", title: finding.severity, "aria-label": finding.severity }), words,
        h("span", { class: "code" }, finding.code),
        h("span", { class: "line" }, finding.line === null ? "" : `line ${finding.line}`)),
      ...finding.fixes.map((fix) => {
        const button = h("button", { class: "fix", title: fix.title, onclick: () => fix.apply() });
        button.append(...inline(fix.title));
        return button;
      }),
    );
    return row;
  });
  const ul = h("ul", { class: "findings" });
  ul.append(...rows);
  fill(body, ul);
}
