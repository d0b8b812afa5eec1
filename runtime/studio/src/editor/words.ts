/**
 * Colours in the text that tie it to the picture: a dot in the colour of each region
 * before its name, and the bar that binds selected words of the target prompt to a region.
 */

import { StateEffect, StateField, type EditorState, type Range } from "@codemirror/state";
import { Decoration, EditorView, showTooltip, WidgetType, type DecorationSet, type Tooltip } from "@codemirror/view";

import { h } from "../dom";
import { regionsOf, wordsAt, type Phrase } from "../spec_text";

/** Colours of regions by name. */
export const setColours = StateEffect.define<Readonly<Record<string, string>>>();

const colours = StateField.define<Readonly<Record<string, string>>>({
  create: () => ({}),
  update(value, transaction) {
    for (const effect of transaction.effects) if (effect.is(setColours)) return effect.value;
    return value;
  },
});

class Dot extends WidgetType {
  constructor(private readonly colour: string) {
    super();
  }

  override eq(other: Dot): boolean {
    return other.colour === this.colour;
  }

  toDOM(): HTMLElement {
    return h("span", { class: "cm-dot", style: `background:${this.colour}`, "aria-hidden": "true" });
  }
}

function dots(state: EditorState): DecorationSet {
  const known = state.field(colours);
  const marks: Range<Decoration>[] = [];
  for (const { name, from } of regionsOf(state.doc.toString())) {
    const colour = known[name];
    if (colour) marks.push(Decoration.widget({ widget: new Dot(colour), side: -1 }).range(from));
  }
  return Decoration.set(marks, true);
}

const dotField = StateField.define<DecorationSet>({
  create: dots,
  update: (value, tr) =>
    tr.docChanged || tr.effects.some((e) => e.is(setColours)) ? dots(tr.state) : value,
  provide: (field) => EditorView.decorations.from(field),
});

function bindTip(bind: (region: string, words: Phrase) => void) {
  const make = (state: EditorState): Tooltip | null => {
    const { from, to } = state.selection.main;
    if (from === to) return null;
    const words = wordsAt(state.doc.toString(), from, to);
    if (!words) return null;
    const known = state.field(colours);
    const names = regionsOf(state.doc.toString()).map((region) => region.name);
    return {
      pos: words.from,
      above: true,
      create: () => ({ dom: bindBar(state.sliceDoc(words.from, words.to), names, known, (region) => bind(region, words)) }),
    };
  };
  return StateField.define<Tooltip | null>({
    create: make,
    update: (value, tr) =>
      tr.docChanged || tr.selection || tr.effects.some((e) => e.is(setColours)) ? make(tr.state) : value,
    provide: (field) => showTooltip.from(field),
  });
}

function bindBar(
  words: string,
  names: string[],
  known: Readonly<Record<string, string>>,
  choose: (region: string) => void,
): HTMLElement {
  const bar = h("div", { class: "bind-bar", role: "toolbar", "aria-label": `Bind “${words}” to a region` });
  bar.append(h("span", { class: "bind-label" }, names.length ? "Bind to" : "Draw a region first, then bind these words"));
  names.slice(0, 12).forEach((name, i) =>
    bar.append(
      h(
        "button",
        {
          class: "chip", title: `Bind these words to ${name} (Alt+${i + 1})`, onmousedown: (event: Event) => event.preventDefault(), onclick: () => choose(name),
        },
        h("span", { class: "dot", style: `background:${known[name] ?? "var(--muted)"}` }),
        name,
        i < 9 && h("kbd", {}, `Alt ${i + 1}`),
      ),
    ),
  );
  return bar;
}

/** The colours and the bar; `bind` is called with a region and the words' place in the text. */
export const wordTools = (bind: (region: string, words: Phrase) => void) => [
  colours,
  dotField,
  bindTip(bind),
];

/** The selected words of the target prompt, if some are selected. */
export function selectedWords(state: EditorState): Phrase | null {
  const { from, to } = state.selection.main;
  return wordsAt(state.doc.toString(), from, to);
}
