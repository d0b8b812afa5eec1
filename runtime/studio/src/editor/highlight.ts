/** Colours of `.grain` text while one types, as in the grammar of the reference. */

import { HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { tags as t } from "@lezer/highlight";

const STATEMENTS = new Set(
  "grain video model motion_adapter source target negative tracker finder region regions edit add keep free attention flow inject freeu context sampler method control blend variant without".split(" "),
);
const WORDS = new Set("class instance part of during grow shrink smooth not in at second".split(" "));
const VALUES = new Set(["all", "rest"]);
const NUMBER = /^[+-]?(?:\d+\.\.\d+|\d+x\d+|(?:\d+(?:\.\d+)?|\.\d+)(?:%|px\b|[eE][+-]?\d+)?)(?![\w.])/;

const grain = StreamLanguage.define<{ start: boolean }>({
  name: "grain",
  startState: () => ({ start: true }),
  token(stream, state) {
    if (stream.sol()) state.start = true;
    if (stream.eatSpace()) return null;
    const start = state.start;
    state.start = false;
    if (stream.match(/^#.*/)) return "comment";
    if (stream.match(/^"(?:\\.|[^"\\])*"?/)) return "string";
    if (stream.match(/^->/)) return "operator";
    if (stream.match(NUMBER)) return "number";
    const word = stream.match(/^[\p{L}_][\p{L}\p{M}\p{N}_]*/u) as RegExpMatchArray | null;
    if (!word) {
      stream.next();
      return /^[-|&~=@]$/.test(stream.current()) ? "operator" : "punctuation";
    }
    if (start && STATEMENTS.has(word[0])) return "keyword";
    if (VALUES.has(word[0])) return "atom";
    if (WORDS.has(word[0])) return "modifier";
    return stream.match(/^\s*\(/, false) ? "function" : "variableName";
  },
  tokenTable: { modifier: t.modifier, function: t.function(t.variableName) },
  languageData: { commentTokens: { line: "#" }, closeBrackets: { brackets: ["(", "{", '"'] } },
});

const style = HighlightStyle.define([
  { tag: t.keyword, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: t.modifier, color: "var(--code-keyword)" },
  { tag: t.string, color: "var(--code-string)" },
  { tag: t.number, color: "var(--code-number)" },
  { tag: t.atom, color: "var(--code-number)" },
  { tag: t.comment, color: "var(--code-comment)" },
  { tag: t.function(t.variableName), color: "var(--code-function)" },
  { tag: [t.operator, t.punctuation], color: "var(--muted)" },
]);

export const grainLanguage = [grain, syntaxHighlighting(style)];
