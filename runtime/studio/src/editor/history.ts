/** Undo: what one gesture in the picture wrote is one step, however long it took. */

import { history } from "@codemirror/commands";
import { Annotation, StateField, type Extension } from "@codemirror/state";

/** The gesture that a change of the text belongs to. */
export const ofGesture = Annotation.define<number>();

/** Changes by typing that are further apart are undone one by one, in milliseconds. */
const PAUSE = 500;

export function undoHistory(now: () => number = Date.now): Extension {
  const last = StateField.define<{ gesture: number | undefined; at: number }>({
    create: () => ({ gesture: undefined, at: 0 }),
    update: (value, tr) => (tr.docChanged ? { gesture: tr.annotation(ofGesture), at: now() } : value),
  });
  return [
    last,
    history({
      newGroupDelay: Number.MAX_SAFE_INTEGER,
      joinToEvent: (tr, adjacent) => {
        const { gesture, at } = tr.startState.field(last);
        const current = tr.annotation(ofGesture);
        if (current !== undefined || gesture !== undefined) return current === gesture;
        return adjacent && now() - at < PAUSE;
      },
    }),
  ];
}
