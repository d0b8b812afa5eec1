/** Findings are written for the command line: here, their cures are the page's own buttons and pictures. */

const PAGE: readonly (readonly [RegExp, string])[] = [
  [/Run `grain track [^`]*`; `grain show`, `grain plan` and `grain run` do so too\./g, "Press Track, or Run, which tracks first."],
  [/\bRun `grain track [^`]*`/g, "Press Track"],
  [/\brun `grain track [^`]*`/g, "press Track"],
  [/\bLook (at [^.,`]+ )?with `grain show`/g, "Look $1in the picture"],
  [/`grain show` draws/g, "The picture shows"],
];

/** A finding's words as the page says them. */
export const inPage = (text: string): string => PAGE.reduce((words, [from, to]) => words.replace(from, to), text);

/** A message that ends, so that another sentence can follow. */
export const sentence = (text: string): string => (/[.!?…:]$/.test(text.trim()) ? text : `${text}.`);
