/** The help: all keys, in a dialog. */

import { h } from "./dom";
import { icon } from "./icons";
import { KEYS, PICTURE_KEYS, TEXT_KEYS } from "./keys";

const SHOWN: Record<string, string> = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

const CANCELLED =
  "Tracked frames, a finished inversion and sampling steps are kept: the same job resumes after them. An inversion that was not finished starts again.";

const RUNS =
  "Each run stays: it is written to runs/SPEC, the next ones to runs/SPEC-2, runs/SPEC-3 and so on. Choose one of the list to compare it with the clip. Nothing is deleted; delete the folders that you do not need.";

/** `Ctrl+S` as key caps. */
export function caps(name: string): HTMLElement {
  const span = h("span", { class: "caps" });
  for (const part of name.split(/(?<=.)\+/)) span.append(h("kbd", {}, SHOWN[part] ?? part));
  return span;
}

function group(title: string, rows: readonly (readonly [string, string])[]): HTMLElement {
  const list = h("dl", {});
  for (const [keys, does] of rows) list.append(h("dt", {}, caps(keys)), h("dd", {}, does));
  return h("section", {}, h("h3", {}, title), list);
}

export function showHelp(): void {
  const groups = KEYS.map(({ group: title, keys }) => {
    const rows = keys.map((key) => [key.keys[0]!, key.does] as const);
    return group(title, title === "Regions" ? [["1 … 9", "Choose a region, in the order of the text"], ...rows.slice(9)] : rows);
  });
  const columns = h("div", { class: "help-columns" });
  columns.append(...groups, group("In the text", TEXT_KEYS), group("In the picture", PICTURE_KEYS));
  columns.append(h("section", {}, h("h3", {}, "Jobs that are cancelled"), h("p", {}, CANCELLED)), h("section", {}, h("h3", {}, "Earlier runs"), h("p", {}, RUNS)));
  const dialog = h(
    "dialog", { class: "help", "aria-label": "Keys" },
    h("header", {}, h("h2", {}, "Keys"), h("button", { class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"))),
    columns,
  );
  dialog.addEventListener("keydown", (event) => event.key === "?" && dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Ask for one line of text; `null` when cancelled. */
export function askFor(title: string, label: string, value: string): Promise<string | null> {
  return new Promise((resolve) => {
    const input = h("input", { type: "text", value, "aria-label": label, autocomplete: "off", spellcheck: "false" });
    const form = h("form", { method: "dialog" }, h("h2", {}, title), h("label", {}, h("span", {}, label), input),
      h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), h("button", { class: "primary", value: "yes" }, title)));
    const dialog = h("dialog", { class: "ask", "aria-label": title }, form);
    dialog.addEventListener("close", () => {
      const answer = input.value.trim();
      resolve(dialog.returnValue === "yes" && answer ? answer : null);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    input.select();
  });
}
