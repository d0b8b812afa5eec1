/** Undo: what one gesture in the picture wrote is one step, however long it took. */

import { history } from "@codemirror/commands";
import { Annotation, StateField, type EditorState, type Extension } from "@codemirror/state";

/** The gesture that a change of the text belongs to. */
export const ofGesture = Annotation.define<number>();

/** The gesture that changed the text last; undefined if it was something else. */
const lastOf = StateField.define<number | undefined>({
  create: () => undefined,
  update: (value, tr) => (tr.docChanged ? tr.annotation(ofGesture) : value),
});

export const lastGesture = (state: EditorState): number | undefined => state.field(lastOf, false);

/** Changes by typing that are further apart are undone one by one, in milliseconds. */
const PAUSE = 500;

export function undoHistory(now: () => number = Date.now): Extension {
  const lastAt = StateField.define<number>({ create: () => 0, update: (value, tr) => (tr.docChanged ? now() : value) });
  return [
    lastOf,
    lastAt,
    history({
      newGroupDelay: Number.MAX_SAFE_INTEGER,
      joinToEvent: (tr, adjacent) => {
        const gesture = tr.startState.field(lastOf);
        const current = tr.annotation(ofGesture);
        if (current !== undefined || gesture !== undefined) return current === gesture;
        return adjacent && now() - tr.startState.field(lastAt) < PAUSE;
      },
    }),
  ];
}
