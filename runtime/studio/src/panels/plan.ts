/** The plan of the text: warnings first, then what happens to each region; the JSON on demand. */

import type { RegionFacts, Run } from "../api";
import { fill, h } from "../dom";
import { duration } from "./jobs";
import { editRows, levelRows, planFacts, type Plan } from "./plan_words";
import { warningsList } from "./warnings";

function table(heads: readonly string[], rows: readonly (readonly (string | Node)[])[]): HTMLElement {
  const head = h("tr");
  head.append(...heads.map((name) => h("th", { scope: "col" }, name)));
  const made = h("table", { class: "facts-table" }, head);
  for (const row of rows) {
    const line = h("tr");
    line.append(...row.map((cell) => h("td", {}, cell)));
    made.append(line);
  }
  return made;
}

function region(name: string, colour: string): Node {
  return h("span", { class: "plan-region" }, h("span", { class: "dot", style: `background:${colour}` }), name);
}

export function showPlan(body: HTMLElement, plan: Plan, regions: readonly RegionFacts[], runs: readonly Run[], colourOf: (region: string) => string): void {
  const open = body.querySelector<HTMLDetailsElement>("details.json")?.open ?? false;
  const facts = h("dl", { class: "facts" });
  for (const [name, words] of planFacts(plan, regions, runs, duration)) facts.append(h("dt", {}, name), h("dd", {}, words));
  const edits = editRows(plan, regions).map((row) => [region(row.region, colourOf(row.region)), row.words, row.area, row.cross, row.self]);
  const levels = levelRows(plan).map(({ grid, cells }) => [grid, ...cells]);
  const json = h("details", { class: "json" }, h("summary", {}, "Show JSON"), h("pre", {}, JSON.stringify(plan, null, 2)));
  json.open = open;
  fill(
    body, warningsList(plan.diagnostics),
    h("h3", {}, "Attraction in cross-attention and self-attention: first modulated step → last"),
    table(["Region", "Becomes", "Area", "Cross", "Self"], edits), facts,
    levels.length > 0 && h("h3", {}, "By level of the model: area, and attraction in cross-attention"),
    levels.length > 0 && table(["Grid", ...plan.edits.map((edit) => edit.region)], levels), json,
  );
}
