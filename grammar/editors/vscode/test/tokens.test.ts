/** The TextMate grammar in the engine that editors use, against grainspec's own lexer. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { before, test } from "node:test";

import oniguruma from "vscode-oniguruma";
import textmate, { type IGrammar } from "vscode-textmate";

import { EXAMPLES, EXTENSION, output, python, QUOTED } from "./grainspec";

let grammar: IGrammar;

before(async () => {
  const wasm = createRequire(import.meta.url).resolve("vscode-oniguruma/release/onig.wasm");
  await oniguruma.loadWASM(readFileSync(wasm));
  const path = join(EXTENSION, "dist", "grain.tmLanguage.json");
  const raw = textmate.parseRawGrammar(readFileSync(path, "utf8"), path);
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async (scope) => (scope === raw.scopeName ? raw : null),
  });
  grammar = (await registry.loadGrammar("source.grain"))!;
});

interface Scoped {
  readonly text: string;
  readonly scope: string;
}

/** The tokens of each line, with the innermost scope of each. */
function scoped(text: string): Scoped[][] {
  let stack = textmate.INITIAL;
  return text.split("\n").map((line) => {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, stack);
    stack = ruleStack;
    return tokens.map(({ startIndex, endIndex, scopes }) => ({
      text: line.slice(startIndex, endIndex),
      scope: scopes.at(-1) ?? "",
    }));
  });
}

/** Which of Pygments' kinds a scope stands for; the first prefix counts. */
const KINDS: readonly (readonly [string, string])[] = [
  ["comment", "Token.Comment"],
  ["string", "Token.Literal.String"],
  ["constant.character", "Token.Literal.String"],
  ["constant.numeric", "Token.Literal.Number"],
  ["constant.language", "Token.Keyword.Constant"],
  ["constant.other", "Token.Name.Constant"],
  ["entity.name.function", "Token.Name.Function"],
  ["entity.name.type", "Token.Name.Class"],
  ["keyword.operator", "Token.Operator"],
  ["keyword.control", "Token.Keyword"],
  ["storage.type", "Token.Keyword.Type"],
  ["support.type", "Token.Name.Attribute"],
  ["variable", "Token.Name.Variable"],
  ["punctuation", "Token.Punctuation"],
  ["invalid", "Token.Error"],
];

const LEXER = `
import json, sys
from grainspec.text.highlight import GrainLexer
texts = json.load(sys.stdin)
print(json.dumps([[[str(k), w] for _, k, w in GrainLexer().get_tokens_unprocessed(t)] for t in texts]))
`;

const interpreter = python();
const BROKEN = ['source "not closed\ntarget "x"', "region ü_é = box(1%, .5%) @ 3 ? ;", "variant a { edit b -> 'x' "];

test("editors and grainspec's lexer agree on every character", { skip: !interpreter }, () => {
  const texts = [...EXAMPLES.values(), ...QUOTED.values(), ...BROKEN];
  const lexed = JSON.parse(output(interpreter!, ["-c", LEXER], JSON.stringify(texts))) as [string, string][][];
  let compared = 0;
  texts.forEach((text, index) => {
    const scopes = scoped(text).flatMap((line) => [
      ...line.flatMap((token) => [...token.text].map(() => token.scope)),
      "",
    ]);
    let at = 0;
    for (const [kind, word] of lexed[index]!) {
      for (const sign of word) {
        const scope = scopes[at++] ?? "";
        if (/\s/.test(sign)) continue;
        const wanted = KINDS.find(([prefix]) => scope.startsWith(prefix))?.[1] ?? "Token.Error";
        assert.ok(kind.startsWith(wanted), `“${word}” in “${text}”: ${kind}, but ${scope}`);
        compared++;
      }
    }
  });
  assert.ok(compared > 10_000, String(compared));
});

test("no sign of an example is without a scope", () => {
  for (const [name, text] of EXAMPLES) {
    for (const { text: word, scope } of scoped(text).flat()) {
      assert.ok(scope !== "source.grain" || !word.trim(), `“${word}” in ${name}`);
    }
  }
});

test("the scopes of an example", () => {
  const lines = scoped(EXAMPLES.get("part")!).map((line) => {
    const words = line.filter(({ text }) => text.trim());
    return words.map(({ text, scope }) => `${text.trim()} ‹${scope.replace(/\.grain$/, "")}›`).join(" ");
  });
  assert.equal(lines.join("\n"), readFileSync(join(EXTENSION, "test", "part.scopes.txt"), "utf8"));
});
