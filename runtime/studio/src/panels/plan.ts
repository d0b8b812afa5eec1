/** The plan's facts: what `grain plan --format json` prints, as tables. */

import { fill, h } from "../dom";

type Facts = Record<string, unknown>;

const isFacts = (value: unknown): value is Facts => typeof value === "object" && value !== null && !Array.isArray(value);
const words = (key: string): string => key.replaceAll("_", " ");

/** A size as `16 × 32`, frames as in a spec, other numbers one by one. */
function numbers(list: readonly number[]): string {
  if (list.length === 2) return list.join(" × ");
  const step = (list[1] ?? 0) - list[0]!;
  const even = list.length > 3 && step > 0 && list.every((n, i) => n === list[0]! + i * step);
  return even ? `${list[0]}..${list.at(-1)}${step > 1 ? ` step ${step}` : ""}` : list.join(", ");
}

/** A value as short text; `null` for what needs a table of its own. */
export function short(value: unknown): string | null {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return /^[0-9a-f]{40,}$/.test(value) ? `${value.slice(0, 12)}…` : value;
  if (Array.isArray(value)) {
    if (!value.length) return "–";
    if (value.every((each) => Number.isInteger(each))) return numbers(value as number[]);
    const parts = value.map(short);
    if (parts.every((part) => part !== null) && !value.some(isFacts)) return parts.join(", ");
    return null;
  }
  const entries = Object.entries(value as Facts);
  return entries.length ? null : "–";
}

function table(rows: readonly Facts[]): HTMLElement {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) => rows.some((row) => short(row[key]) !== null));
  const head = h("tr");
  head.append(...columns.map((key) => h("th", { scope: "col" }, words(key))));
  const body = rows.map((row) => {
    const line = h("tr");
    line.append(...columns.map((key) => h("td", {}, short(row[key]) ?? "…")));
    return line;
  });
  const made = h("table", { class: "facts-table" }, head);
  made.append(...body);
  return made;
}

function facts(value: Facts): HTMLElement {
  const list = h("dl", { class: "facts" });
  const rest: HTMLElement[] = [];
  for (const [key, each] of Object.entries(value)) {
    const text = short(each);
    if (text !== null) list.append(h("dt", {}, words(key)), h("dd", {}, text));
    else rest.push(h("section", {}, h("h3", {}, words(key)), content(each)));
  }
  const made = h("div", {}, list);
  made.append(...rest);
  return made;
}

function content(value: unknown): HTMLElement {
  if (Array.isArray(value)) return value.every(isFacts) ? table(value) : h("p", {}, value.map((v) => short(v) ?? JSON.stringify(v)).join(", "));
  if (!isFacts(value)) return h("p", {}, short(value) ?? "");
  const inner = Object.entries(value);
  if (inner.every(([, v]) => isFacts(v))) return table(inner.map(([name, v]) => ({ name, ...(v as Facts) })));
  return facts(value);
}

export function showPlan(body: HTMLElement, plan: unknown): void {
  fill(body, content(plan));
}
