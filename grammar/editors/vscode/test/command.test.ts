import assert from "node:assert/strict";
import { test } from "node:test";

import { candidates, commandOf, isGrainspec, type Place } from "../src/command";
import { installCommand, notFound, notStarted } from "../src/missing";

function place(changes: Partial<Place> = {}, files: readonly string[] = []): Place {
  return {
    platform: "linux",
    home: "/home/ada",
    searchPath: "/usr/local/bin:/usr/bin",
    folders: ["/work space/clips"],
    trusted: true,
    setting: "",
    isFile: (path) => files.includes(path),
    ...changes,
  };
}

const executables = (where: Place) => candidates(where).map(({ executable }) => executable);

test("the order: Python extension, virtual environment, grain, Python", () => {
  const files = ["/work space/clips/.venv/bin/python", "/usr/bin/grain", "/usr/bin/python3"];
  assert.deepEqual(executables(place({ interpreter: "/opt/py/bin/python3.12" }, files)), [
    "/opt/py/bin/python3.12",
    "/work space/clips/.venv/bin/python",
    "/usr/bin/grain",
    "/usr/bin/python3",
  ]);
});

test("a setting counts alone, and is expanded", () => {
  const files = ["/usr/bin/grain", "/usr/bin/python3"];
  const set = (setting: string) => executables(place({ setting }, files));
  assert.deepEqual(set("~/env/bin/grain"), ["/home/ada/env/bin/grain"]);
  assert.deepEqual(set("${workspaceFolder}/env/bin/python"), ["/work space/clips/env/bin/python"]);
  assert.deepEqual(set("python3"), ["/usr/bin/python3"]);
  assert.deepEqual(set("nothing"), ["nothing"]);
});

test("nothing in a workspace that is not trusted is executed", () => {
  const files = ["/work space/clips/.venv/bin/python", "/usr/bin/grain"];
  const where = place({ trusted: false, interpreter: "/work space/clips/.venv/bin/python" }, files);
  assert.deepEqual(executables(where), ["/usr/bin/grain"]);
});

test("relative entries of the PATH are not searched", () => {
  assert.deepEqual(executables(place({ searchPath: ".:bin:/usr/bin" }, ["grain", "bin/grain"])), []);
});

test("on Windows, programs are sought on the PATH alone", () => {
  const files = ["C:\\clips\\venv\\Scripts\\python.exe", "C:\\tools\\grain.exe"];
  const where = place({ platform: "win32", searchPath: ".;C:\\tools", folders: ["C:\\clips"] }, files);
  assert.deepEqual(executables(where), files);
});

test("a Python interpreter runs the module, without the current folder", () => {
  for (const path of ["/usr/bin/python", "/opt/python3.12", "C:\\Python\\pythonw.exe", "C:/x/Python.EXE"]) {
    assert.deepEqual(commandOf(path, "").args, ["-P", "-m", "grainspec"], path);
  }
  for (const path of ["/usr/bin/grain", "C:\\tools\\grain.exe", "/usr/bin/pythonic"]) {
    assert.deepEqual(commandOf(path, "").args, [], path);
  }
});

test("another program named grain is not taken", () => {
  assert.ok(isGrainspec("grain, version 0.1.0\n"));
  assert.ok(!isGrainspec("Grain cli 0.6.6\nGrain compiler 0.6.6\n"));
});

test("messages name what was tried, and a command to paste", () => {
  assert.equal(installCommand(), 'pip install -U "grainspec[editor]"');
  assert.equal(installCommand("/a b/python"), '"/a b/python" -m pip install -U "grainspec[editor]"');
  assert.match(notFound([]), /`grain` was not found.*pip install -U "grainspec\[editor\]"/);
  assert.match(notFound(candidates(place({ setting: "/x/y" }))), /`\/x\/y` \(the setting grain.path\)/);
  const command = commandOf("/usr/bin/grain", "the PATH");
  assert.equal(
    notStarted(command, "error[G501]: pygls is missing\n  = Install it.\n"),
    "`/usr/bin/grain` (the PATH) did not start the language server: error[G501]: pygls is missing " +
      '= Install it. Install or upgrade it with: pip install -U "grainspec[editor]"',
  );
  assert.match(notStarted(command, ""), /the language server\. Install/);
});
