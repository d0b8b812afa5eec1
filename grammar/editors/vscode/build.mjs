// Build the extension into dist/ and its tests into build/.
//
// The grammar, the schema and the licence are copied from where the project keeps them, so that
// there is no second source of any of them.

import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import { build } from "esbuild";

const grammar = "../..";
const copies = {
  [`${grammar}/grain.tmLanguage.json`]: "dist/grain.tmLanguage.json",
  [`${grammar}/grain.schema.json`]: "dist/grain.schema.json",
  [`${grammar}/../LICENSE`]: "LICENSE",
};
const common = { bundle: true, platform: "node", target: "node20", logLevel: "warning" };

for (const folder of ["dist", "build"]) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
}
for (const [from, to] of Object.entries(copies)) await copyFile(from, to);

await build({
  ...common,
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  format: "cjs",
  external: ["vscode"],
  minify: true,
});

const tests = (await readdir("test")).filter((name) => name.endsWith(".test.ts"));
await build({
  ...common,
  entryPoints: tests.map((name) => `test/${name}`),
  outdir: "build",
  format: "esm",
  outExtension: { ".js": ".mjs" },
  packages: "external",
});
