import assert from "node:assert/strict";
import { test } from "node:test";

import { specArguments, targetOf } from "../src/arguments";
import { commandOf } from "../src/command";
import { ended } from "../src/programs";

const NAMES = ["/a b/it's \"quoted\".grain", "/$(touch x)/`id`;&|<>*?~#!.grain", "/%PATH%^/ü\n.grain"];

test("names arrive at a program as they are", async () => {
  const node = { executable: process.execPath, origin: "", args: ["-p", "JSON.stringify(process.argv)"] };
  for (const name of NAMES) {
    const args = specArguments(node, "run", name, "x; rm -rf $HOME").slice(node.args.length);
    assert.deepEqual(args, ["run", name, "--variant=x; rm -rf $HOME"]);
    const echo = ["-e", "console.log(JSON.stringify(process.argv.slice(1)))", "--", ...args];
    const { stdout } = await ended(process.execPath, echo);
    assert.deepEqual(JSON.parse(stdout), args);
  }
});

test("a variant is never another option", () => {
  const args = specArguments(commandOf("/usr/bin/grain", ""), "plan", "/s.grain", "--output=/etc/x");
  assert.deepEqual(args, ["plan", "/s.grain", "--variant=--output=/etc/x"]);
});

test("what a code lens sends is read, and nothing else", () => {
  assert.deepEqual(targetOf({ uri: "file:///a.grain", variant: "left" }), {
    uri: "file:///a.grain",
    variant: "left",
  });
  assert.deepEqual(targetOf({ uri: "file:///a.grain", variant: null }), { uri: "file:///a.grain" });
  for (const other of [undefined, null, "file:///a", { path: "/a" }, { uri: 3 }]) {
    assert.equal(targetOf(other), undefined);
  }
});

test("a program that is not there, or is given up, ends with a reason", async () => {
  assert.match((await ended("/no/such/grain", [])).stderr, /ENOENT/);
  const given = new AbortController();
  const waiting = ended(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"], {
    signal: given.signal,
  });
  given.abort();
  assert.equal((await waiting).ok, false);
});
