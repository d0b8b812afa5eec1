/** The built extension in a stand-in editor: with the real language server, and without any. */

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import manifest from "../package.json";
import { FakeDocument, fakeEditor, loaded, type FakeEditor } from "./fake_vscode";
import { environment, EXAMPLES, EXTENSION, python, ROOT } from "./grainspec";

const BUNDLE = join(EXTENSION, "dist", "extension.js");
const interpreter = python();
const INSTANCE = join(ROOT, "examples", "instance.grain");
Object.assign(process.env, environment()); // for the programs that the extension starts

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; waited < 60_000; waited += 50) {
    if (condition()) return;
    await pause(50);
  }
  assert.fail(`waited in vain: ${what}`);
}

async function activated(
  editor: FakeEditor,
  work: (context: { subscriptions: { dispose(): unknown }[] }) => Promise<void>,
): Promise<void> {
  const extension = loaded(BUNDLE, editor);
  const context = { subscriptions: [] as { dispose(): unknown }[] };
  try {
    await extension.activate(context);
    await work(context);
  } finally {
    await extension.deactivate();
    for (const part of context.subscriptions) part.dispose();
  }
}

test("without grain: commands are there, and one message says what to install", async () => {
  const editor = fakeEditor([], { path: "/no/such/grain" });
  await activated(editor, async () => {
    const declared = manifest.contributes.commands.map(({ command }) => command);
    assert.deepEqual([...editor.commands.keys()].sort(), declared.sort());
    assert.equal(editor.errors.length, 1);
    assert.match(editor.errors[0]!, /`\/no\/such\/grain`.*pip install -U "grainspec\[editor\]"/);
  });
});

test("a server that does not start is explained by its own words", { skip: !interpreter }, async () => {
  // As an older version would end, with words that arrive after its end.
  const script = join(EXTENSION, "build", "old-grain");
  const old = `#!/bin/sh\n[ "$1" = --version ] && echo "grain, version 0.0.1" && exit\n(sleep 0.3; echo "unknown command" >&2) &\nexit 2\n`;
  writeFileSync(script, old, { mode: 0o755 });
  const editor = fakeEditor([], { path: script });
  await activated(editor, async () => {
    await until(() => editor.errors.some((error) => /unknown command/.test(error)), "the message");
    assert.equal(editor.errors.length, 1); // and the client's own errors go to its log
  });
});

test("the language client shows the real server's findings", { skip: !interpreter }, async () => {
  const text = EXAMPLES.get("instance")!.replace("keep ground", "keep grund");
  const document = new FakeDocument(INSTANCE, text);
  const editor = fakeEditor([document], { path: interpreter });
  await activated(editor, async () => {
    assert.deepEqual(editor.errors, []);
    const found = () => editor.findings.get(document.uri.toString()) ?? [];
    await until(() => found().length > 0, "findings");
    const finding = found().find(({ message }) => message.includes("grund"))!;
    assert.equal(finding.range.start.line, text.split("\n").findIndex((line) => line === "keep grund"));
    assert.equal(finding.range.start.character, 5);
    const restart = editor.commands.get("grain.restart")!;
    const first = restart();
    await pause(1000); // it is starting now, and is given up for the next one
    await Promise.all([first, restart(), restart(), restart()]);
    assert.deepEqual(editor.errors, []);
    await until(() => found().length > 0, "findings after restarts");
  });
});

test("a finding about files goes when another program changes them", { skip: !interpreter }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "grain-watched-"));
  const [clip, masks] = [join("clips", "three_walkers.mp4"), join("masks", "tracked")];
  cpSync(join(ROOT, "examples", clip), join(folder, clip));
  const document = new FakeDocument(join(folder, "tracked.grain"), EXAMPLES.get("tracked")!);
  const editor = fakeEditor([document], { path: interpreter });
  const codes = () => editor.findings.get(document.uri.toString())?.map(({ code }) => JSON.stringify(code));
  await activated(editor, async () => {
    await until(() => Boolean(codes()?.some((code) => code.includes("G357"))), "the finding");
    await pause(1500); // the server looks once by itself, and then no more for a while
    cpSync(join(ROOT, "examples", masks), join(folder, masks), { recursive: true });
    const above = [...editor.watchers].find(({ watched }) => watched.pattern === "masks")!;
    assert.equal(above.watched.baseUri.fsPath, folder);
    above.create(join(folder, "masks"));
    await until(() => codes()?.length === 0, "the end of the finding");
    const patterns = () => [...editor.watchers].map(({ watched }) => watched.pattern);
    await until(() => patterns().includes("**/*"), "a watcher of the masks");
    assert.ok(patterns().includes("three_walkers.mp4"));
    assert.ok(!patterns().includes("masks"));
  });
  rmSync(folder, { recursive: true });
});

test("plan and run get a terminal and a list of arguments", { skip: !interpreter }, async () => {
  const document = new FakeDocument(INSTANCE, EXAMPLES.get("instance")!);
  document.isDirty = true;
  const editor = fakeEditor([document], { path: interpreter });
  await activated(editor, async () => {
    await editor.commands.get("grain.run")!({ uri: document.uri.toString(), variant: "a; b" });
    await editor.commands.get("grain.plan")!();
    assert.equal(document.saved, 1);
    const [run, plan] = editor.tasks.map(({ execution }) => execution);
    assert.equal(run!.process, interpreter);
    assert.deepEqual(run!.args, ["-P", "-m", "grainspec", "run", INSTANCE, "--variant=a; b"]);
    assert.equal(run!.options.cwd, join(ROOT, "examples"));
    assert.deepEqual(plan!.args.slice(3), ["plan", INSTANCE]);

    editor.trusted = false;
    await editor.commands.get("grain.run")!();
    assert.equal(editor.tasks.length, 2);
    assert.match(editor.errors.at(-1)!, /Trust this workspace/);
  });
});

test("the Python extension's interpreter is taken", { skip: !interpreter }, async () => {
  const document = new FakeDocument(INSTANCE, EXAMPLES.get("instance")!);
  const editor = fakeEditor([document], {}, interpreter);
  await activated(editor, async () => {
    await editor.commands.get("grain.plan")!();
    assert.equal(editor.tasks[0]!.execution.process, interpreter);
  });
});

test("regions are drawn beside the text, and anew on save", { skip: !interpreter }, async () => {
  const document = new FakeDocument(INSTANCE, EXAMPLES.get("instance")!);
  const editor = fakeEditor([document], { path: interpreter, "preview.frames": 1 });
  const picture = () => /<img src="([^"]*)"/.exec(editor.panels[0]?.html ?? "")?.[1];
  await activated(editor, async () => {
    const show = editor.commands.get("grain.show")!;
    await Promise.all([show(), show()]);
    await until(() => picture() !== undefined, `a picture in ${editor.panels[0]?.html}`);
    const [panel] = editor.panels;
    assert.equal(panel!.options.enableScripts, false);
    const first = picture()!;
    const folder = panel!.options.localResourceRoots[0]!.fsPath;
    assert.ok(first.startsWith(`file://${folder}/`));
    assert.ok(existsSync(new URL(first)));

    editor.saved.forEach((work) => work(document));
    await until(() => ![first, undefined].includes(picture()), "another picture");
    assert.ok(existsSync(new URL(picture()!)));
    await show({ uri: document.uri.toString(), variant: "none" });
    await until(() => /<pre>.*none/s.test(panel!.html), "the finding that no variant is `none`");
    assert.equal(editor.panels.length, 1);
    panel!.close();
    await until(() => !existsSync(folder), "the folder's end");
  });
});
