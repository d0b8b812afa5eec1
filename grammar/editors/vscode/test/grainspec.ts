/** The tree that this extension is a part of, and a Python that runs its `grain`. */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";

export const EXTENSION = resolve(import.meta.dirname, "..");
export const ROOT = resolve(EXTENSION, "../../..");

/** The examples by name. */
export const EXAMPLES: ReadonlyMap<string, string> = new Map(
  readdirSync(join(ROOT, "examples"))
    .filter((name) => name.endsWith(".grain"))
    .map((name) => [basename(name, ".grain"), readFileSync(join(ROOT, "examples", name), "utf8")]),
);

/** The specs in the reference and the cookbook. */
export const QUOTED: ReadonlyMap<string, string> = new Map(
  ["README", "cookbook"].flatMap((page) => {
    const text = readFileSync(join(ROOT, "grammar", `${page}.md`), "utf8");
    return [...text.matchAll(/```grain\n(.*?)```/gs)].map(
      (match, index) => [`${page} ${index}`, match[1] ?? ""] as const,
    );
  }),
);

/**
 * A Python that imports this tree's grainspec: `GRAIN_PYTHON`, or that of `.venv`. Without one,
 * the tests that need it are skipped; `GRAIN_PYTHON` that does not work is an error.
 */
export function python(): string | undefined {
  const named = process.env["GRAIN_PYTHON"];
  const own = join(ROOT, ".venv", "bin", "python");
  const found = named ?? (existsSync(own) ? own : undefined);
  if (found) output(found, ["-c", "import grainspec"]);
  return found;
}

/** What a Python program of this tree prints. */
export function output(executable: string, args: readonly string[], input = ""): string {
  return execFileSync(executable, args, { encoding: "utf8", input, env: environment() });
}

/** The environment of those programs: this tree comes first. */
export function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PYTHONPATH: `${ROOT}:${join(ROOT, "runtime")}`, PYTHONUTF8: "1" };
}
