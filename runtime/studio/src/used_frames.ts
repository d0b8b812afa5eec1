/** The source frames that a spec uses: the first, the last, and the step between them. */

export type Used = readonly [first: number, last: number, step: number];

export const isUsed = ([first, last, step]: Used, frame: number): boolean =>
  frame >= first && frame <= last && (frame - first) % Math.max(1, step) === 0;

/** As the text of a spec has them: `0..15 step 2`. */
export const usedWords = ([first, last, step]: Used): string => `${first}..${last}${step > 1 ? ` step ${step}` : ""}`;
