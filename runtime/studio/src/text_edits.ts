/** Positions and edits of the language server protocol, and CodeMirror's. Both count UTF-16 units. */

import type { ChangeSpec, Text } from "@codemirror/state";

export interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Range {
  readonly start: Position;
  readonly end: Position;
}

export interface TextEdit {
  readonly range: Range;
  readonly newText: string;
}

/** An offset in the document; positions past a line's or the document's end are moved to it. */
export function toOffset(text: Text, position: Position): number {
  if (position.line >= text.lines) return text.length;
  const line = text.line(Math.max(0, position.line) + 1);
  return Math.min(line.to, line.from + Math.max(0, position.character));
}

export function toPosition(text: Text, offset: number): Position {
  const line = text.lineAt(offset);
  return { line: line.number - 1, character: offset - line.from };
}

/** The least change that an edit makes: what both texts begin and end with stays. */
export function least(before: string, after: string): { skip: number; cut: number; insert: string } {
  const most = Math.min(before.length, after.length);
  let skip = 0;
  while (skip < most && before[skip] === after[skip]) skip++;
  let tail = 0;
  while (tail < most - skip && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  return { skip, cut: before.length - skip - tail, insert: after.slice(skip, after.length - tail) };
}

/** CodeMirror's changes for the server's edits, each reduced to what differs. */
export function toChanges(text: Text, edits: readonly TextEdit[]): ChangeSpec[] {
  const changes: ChangeSpec[] = [];
  for (const { range, newText } of edits) {
    const from = toOffset(text, range.start);
    const to = toOffset(text, range.end);
    const { skip, cut, insert } = least(text.sliceString(from, to), newText);
    if (cut || insert) changes.push({ from: from + skip, to: from + skip + cut, insert });
  }
  return changes;
}
