/** The command that the extension starts, asked over stdio as the editor asks it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import {
  createProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type CodeLens,
  type CompletionItem,
  type CompletionList,
  type Hover,
  type InitializeResult,
  type ProtocolConnection,
  type PublishDiagnosticsParams,
} from "vscode-languageserver-protocol/node";

import manifest from "../package.json";
import { targetOf } from "../src/arguments";
import { commandOf } from "../src/command";
import { startedServer } from "../src/programs";
import { environment, EXAMPLES, python, ROOT } from "./grainspec";

const interpreter = python();
const skip = { skip: !interpreter };
Object.assign(process.env, environment());

const uri = pathToFileURL(join(ROOT, "examples", "instance.grain")).href;
const text = EXAMPLES.get("instance")!;
const published: PublishDiagnosticsParams[] = [];
let connection: ProtocolConnection;
let server: ReturnType<typeof startedServer>["server"];
let answer: InitializeResult;

before(async () => {
  if (!interpreter) return;
  server = startedServer(commandOf(interpreter, "test")).server;
  connection = createProtocolConnection(
    new StreamMessageReader(server.stdout!),
    new StreamMessageWriter(server.stdin!),
  );
  connection.onNotification("textDocument/publishDiagnostics", (found: PublishDiagnosticsParams) => {
    published.push(found);
  });
  connection.listen();
  const capabilities = { textDocument: { hover: { contentFormat: ["markdown"] } } };
  answer = await connection.sendRequest("initialize", { processId: null, rootUri: null, capabilities });
  await connection.sendNotification("initialized", {});
  const textDocument = { uri, languageId: "grain", version: 1, text };
  await connection.sendNotification("textDocument/didOpen", { textDocument });
});

after(async () => {
  if (!interpreter) return;
  await connection.sendRequest("shutdown");
  await connection.sendNotification("exit");
  const code = await new Promise((resolve) => server.once("exit", resolve));
  connection.dispose();
  assert.equal(code, 0);
});

/** The findings of a version, which come after the document has changed. */
async function findings(version: number): Promise<PublishDiagnosticsParams["diagnostics"]> {
  for (let waited = 0; waited < 20_000; waited += 20) {
    const found = published.find((one) => one.uri === uri && one.version === version);
    if (found) return found.diagnostics;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return assert.fail(`no findings of version ${version}`);
}

function place(word: string, offset = 0): { line: number; character: number } {
  const before = text.slice(0, text.indexOf(word) + offset).split("\n");
  return { line: before.length - 1, character: before.at(-1)!.length };
}

test("an example has no findings, and a mistake has one in its place", skip, async () => {
  assert.deepEqual(await findings(1), []);
  const range = { start: place("ground\n\nsampler"), end: place("ground\n\nsampler", 6) };
  const change = async (version: number, words: string, end = range.end) =>
    connection.sendNotification("textDocument/didChange", {
      textDocument: { uri, version },
      contentChanges: [{ range: { start: range.start, end }, text: words }],
    });
  await change(2, "grund");
  const [finding] = (await findings(2)).filter(({ severity }) => severity === 1);
  assert.deepEqual(finding!.range, { start: range.start, end: place("ground\n\nsampler", 5) });
  assert.equal(finding!.code, "G101");
  await change(3, "ground", finding!.range.end);
  assert.deepEqual(await findings(3), []);
});

test("completion offers regions where regions stand", skip, async () => {
  const position = place("edit instance left", "edit instance ".length);
  const found = await connection.sendRequest<CompletionItem[] | CompletionList | null>(
    "textDocument/completion",
    { textDocument: { uri }, position },
  );
  const labels = (Array.isArray(found) ? found : (found?.items ?? [])).map(({ label }) => label);
  for (const region of ["left", "right", "ground", "trees"]) assert.ok(labels.includes(region), region);
});

test("hover explains a setting", skip, async () => {
  const hover = await connection.sendRequest<Hover | null>("textDocument/hover", {
    textDocument: { uri },
    position: place("guidance", 2),
  });
  assert.match(JSON.stringify(hover?.contents), /guidance/);
});

test("code lenses name commands of the extension, with what it reads", skip, async () => {
  const own = manifest.contributes.commands.map(({ command }) => command);
  const lenses = await connection.sendRequest<CodeLens[]>("textDocument/codeLens", { textDocument: { uri } });
  assert.deepEqual(lenses.map(({ command }) => command!.command), ["grain.show", "grain.plan", "grain.run"]);
  for (const { command } of lenses) {
    assert.ok(own.includes(command!.command));
    assert.deepEqual(targetOf(command!.arguments![0]), { uri });
  }
});

test("the extension, not the client library, registers the lenses' commands", skip, () => {
  // The library registers what a server lists as its commands, and a name can be taken only once.
  const own = manifest.contributes.commands.map(({ command }) => command);
  const listed = answer.capabilities.executeCommandProvider?.commands ?? [];
  assert.deepEqual(listed.filter((name) => own.includes(name)), []);
});
