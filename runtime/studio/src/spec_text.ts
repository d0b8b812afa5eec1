/**
 * What the page reads from the text itself, without asking the server: what colours the words, where
 * keyframes stand, which variants there are. The language server remains the judge of the text.
 */

export interface RegionText {
  readonly name: string;
  /** Of the name in its statement. */
  readonly from: number;
  readonly to: number;
  /** Frames with a written keyframe or prompt, ascending. */
  readonly keyframes: readonly number[];
  /** The paths of its `masks("…")`. */
  readonly masks: readonly string[];
}

export interface Phrase {
  /** Of the words between the quotes. */
  readonly from: number;
  readonly to: number;
}

const STATEMENT =
  /^[ \t]*(grain|video|model|motion_adapter|source|target|negative|tracker|finder|regions?|edit|add|keep|free|attention|flow|inject|freeu|context|sampler|method|control|blend|variant|without)\b/gm;
/** A name; JavaScript's `\w` knows ASCII only. */
const REGION = /^\s*region\s+([\p{L}_][\p{L}\p{M}\p{N}_]*)\s*=/u;
const VARIANT = /^[ \t]*variant\s+([\p{L}_][\p{L}\p{M}\p{N}_]*)/gmu;

/** The text with comments and the content of strings blanked, so that what remains is syntax. */
export function bare(text: string): string {
  return text.replace(/"(?:\\.|[^"\\\n])*"?|#[^\n]*/g, (match) =>
    match.startsWith('"') ? `"${" ".repeat(Math.max(0, match.length - 2))}"`.slice(0, match.length) : " ".repeat(match.length),
  );
}

/** Each statement from its first word to the next statement's. */
function statements(syntax: string): { from: number; text: string }[] {
  const starts = [...syntax.matchAll(STATEMENT)].map((match) => match.index);
  return starts.map((from, i) => ({ from, text: syntax.slice(from, starts[i + 1]) }));
}

export function regionsOf(text: string): RegionText[] {
  const regions: RegionText[] = [];
  for (const statement of statements(bare(text))) {
    const match = REGION.exec(statement.text);
    if (!match) continue;
    const name = match[1]!;
    const from = statement.from + match[0].indexOf(name, match[0].indexOf("region") + 6);
    const frames = [...statement.text.matchAll(/@\s*(\d+)/g)].map((m) => Number(m[1]));
    const keyframes = [...new Set(frames)].sort((a, b) => a - b);
    const quotes = [...statement.text.matchAll(/\bmasks\s*\(\s*"/g)].map((m) => statement.from + m.index + m[0].length);
    regions.push({ name, from, to: from + name.length, keyframes, masks: quotes.map((at) => stringAt(text, at)) });
  }
  return regions;
}

/** A string's content, from after its first quote. */
function stringAt(text: string, from: number): string {
  const [content] = /^(?:\\.|[^"\\\n])*/.exec(text.slice(from))!;
  return content.replace(/\\(.)/g, "$1");
}

/** The paths of masks that a region's statement names. */
export const masksOf = (regions: readonly RegionText[], name: string): readonly string[] =>
  regions.find((region) => region.name === name)?.masks ?? [];

export function variantsOf(text: string): string[] {
  return [...bare(text).matchAll(VARIANT)].map((match) => match[1]!);
}

/** What the clip is said to show before and after the edit; null for what is not said. */
export interface Prompts {
  readonly source: string | null;
  readonly target: string | null;
}

export function promptsOf(text: string): Prompts {
  const said = (name: string) => {
    const from = promptAt(text, name);
    return from === null ? null : stringAt(text, from);
  };
  return { source: said("source"), target: said("target") };
}

/** Where a prompt's words begin. */
function promptAt(text: string, name: string): number | null {
  const match = new RegExp(`^[ \\t]*${name}\\s+"`, "m").exec(bare(text));
  return match ? match.index + match[0].length : null;
}

/** The words of a prompt. */
export function promptPlace(text: string, name: keyof Prompts): Phrase | null {
  const from = promptAt(text, name);
  if (from === null) return null;
  const [words] = /^(?:\\.|[^"\\\n])*/.exec(text.slice(from))!;
  return { from, to: from + words.length };
}

/** The words of each `target`, variants' too. */
export function targetsOf(text: string): Phrase[] {
  const phrases: Phrase[] = [];
  for (const match of bare(text).matchAll(/^[ \t]*target\s+"([^"\n]*)"?/gm)) {
    const from = match.index + match[0].indexOf('"') + 1;
    phrases.push({ from, to: from + match[1]!.length });
  }
  return phrases;
}

/** A selection in a target prompt, grown to whole words; null if it is not words of one. */
export function wordsAt(text: string, from: number, to: number): Phrase | null {
  const target = targetsOf(text).find((phrase) => phrase.from <= from && to <= phrase.to);
  if (!target || from === to) return null;
  const isWord = (i: number) => /[\p{L}\p{N}_'’-]/u.test(text[i] ?? " ");
  while (from < to && !isWord(from)) from++;
  while (to > from && !isWord(to - 1)) to--;
  if (from === to) return null;
  while (from > target.from && isWord(from - 1)) from--;
  while (to < target.to && isWord(to)) to++;
  return { from, to };
}

/** The number of code points before a UTF-16 offset: the server's gestures count those. */
export const codePoints = (text: string, offset: number): number =>
  Array.from(text.slice(0, offset)).length;
