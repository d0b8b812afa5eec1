import { ChangeSet, EditorState, Text } from "@codemirror/state";
import { undo } from "@codemirror/commands";
import { describe, expect, it } from "vitest";

import { ofGesture, undoHistory } from "../src/editor/history";
import { bare, codePoints, masksOf, regionsOf, targetsOf, variantsOf, wordsAt } from "../src/spec_text";
import { least, toChanges, toOffset, toPosition } from "../src/text_edits";

const SPEC = `grain 1
# region ghost = rest
video "a region b.mp4"
target "a bear 🐻 and a blue robot"
region left  = box(1%, 2%, 3%, 4%) @ 12, # @ 99
               box(5%, 6%, 7%, 8%) @ 0
region größe = rest
edit left -> "blue robot"
variant other {
    target "two cats"
}
`;

describe("what the page reads in a text", () => {
  it("finds regions and their keyframes, not those of comments and strings", () => {
    const regions = regionsOf(SPEC);
    expect(regions.map(({ name, keyframes }) => [name, keyframes])).toEqual([["left", [0, 12]], ["größe", []]]);
    for (const { name, from, to } of regions) expect(SPEC.slice(from, to)).toBe(name);
  });
  it("finds the masks that a region names", () => {
    const text = 'region a = track(masks("p/\\"1\\".png") @ 2, masks( "p/2.png" ) @ 4) # masks("no")\nregion b = masks("half';
    expect(regionsOf(text).map(({ masks }) => masks)).toEqual([['p/"1".png', "p/2.png"], ["half"]]);
    expect(masksOf(regionsOf(text), "c")).toEqual([]);
  });
  it("keeps every offset when it blanks strings", () => {
    for (const text of [SPEC, 'target "half', '"', '"a\\"b" # "c'])
      expect(bare(text).length).toBe(text.length);
  });
  it("finds variants and all targets", () => {
    expect(variantsOf(SPEC)).toEqual(["other"]);
    expect(targetsOf(SPEC).map(({ from, to }) => SPEC.slice(from, to))).toEqual(["a bear 🐻 and a blue robot", "two cats"]);
  });
  it("grows a selection in a target to whole words, and refuses others", () => {
    const start = SPEC.indexOf("lue ro");
    const words = wordsAt(SPEC, start, start + 6)!;
    expect(SPEC.slice(words.from, words.to)).toBe("blue robot");
    const edit = SPEC.lastIndexOf("blue robot");
    expect(wordsAt(SPEC, edit, edit + 4)).toBeNull();
    const space = SPEC.indexOf(" and");
    expect(wordsAt(SPEC, space, space + 1)).toBeNull();
  });
  it("counts code points before an offset in UTF-16", () => {
    const offset = SPEC.indexOf("and");
    expect(codePoints(SPEC, offset)).toBe(offset - 1);
  });
});

describe("positions in UTF-16", () => {
  const doc = Text.of(["a🐻b", "", "cd"]);
  it("are the same after a way to a position and back", () => {
    for (let offset = 0; offset <= doc.length; offset++) expect(toOffset(doc, toPosition(doc, offset))).toBe(offset);
  });
  it("past a line's or the text's end are moved to it", () => {
    expect(toOffset(doc, { line: 0, character: 99 })).toBe(4);
    expect(toOffset(doc, { line: 9, character: 0 })).toBe(doc.length);
  });
});

describe("edits", () => {
  it("change no more than differs", () => {
    expect(least("box(14%, 33%)", "box(15%, 33%)")).toEqual({ skip: 5, cut: 1, insert: "5" });
    expect(least("aa", "aaa")).toEqual({ skip: 2, cut: 0, insert: "a" });
    expect(least("same", "same")).toEqual({ skip: 4, cut: 0, insert: "" });
  });
  it("give the server's text, for random pairs", () => {
    let seed = 7;
    const random = (n: number) => (seed = (seed * 16807) % 2147483647) % n;
    const word = () => Array.from({ length: random(12) }, () => "ab🐻\n"[random(4)]).join("");
    for (let i = 0; i < 300; i++) {
      const [before, after] = [word(), word()];
      const doc = Text.of(before.split("\n"));
      const whole = { start: { line: 0, character: 0 }, end: toPosition(doc, doc.length) };
      const changes = toChanges(doc, [{ range: whole, newText: after }]);
      expect(ChangeSet.of(changes, doc.length).apply(doc).toString()).toBe(after);
    }
  });
});

describe("undo", () => {
  it("takes back a whole drag at once, and typing before it apart", () => {
    let now = 1000;
    let state = EditorState.create({ doc: "box(1)", extensions: undoHistory(() => now) });
    const change = (insert: string, gesture?: number) => {
      const annotations = gesture === undefined ? [] : [ofGesture.of(gesture)];
      state = state.update({ changes: { from: 4, to: 5, insert }, annotations }).state;
      now += 1000;
    };
    change("2");
    for (const digit of "345") change(digit, 1);
    for (const digit of "67") change(digit, 2);
    const back = () => undo({ state, dispatch: (tr) => (state = tr.state) });
    back();
    expect(state.doc.toString()).toBe("box(5)");
    back();
    expect(state.doc.toString()).toBe("box(2)");
    back();
    expect(state.doc.toString()).toBe("box(1)");
  });
});
