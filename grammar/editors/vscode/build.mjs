// Build the extension into dist/ and its tests into build/.
//
// The grammar, the schema and the licence are copied from where the project keeps them, so that
// there is no second source of any of them.

import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
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

const { metafile } = await build({
  ...common,
  metafile: true,
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  format: "cjs",
  external: ["vscode"],
  minify: true,
});

await writeFile("dist/third-party.txt", await licences(Object.keys(metafile.inputs)));

const tests = (await readdir("test")).filter((name) => name.endsWith(".test.ts"));
await build({
  ...common,
  entryPoints: tests.map((name) => `test/${name}`),
  outdir: "build",
  format: "esm",
  outExtension: { ".js": ".mjs" },
  packages: "external",
});

/** The licences of the packages that are bundled: they ask to be passed on. */
async function licences(inputs) {
  const packages = new Set(
    inputs.flatMap((path) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  );
  const texts = [...packages].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
    if (!file) throw new Error(`${name} has no licence`);
    return `# ${name} ${version} (${license})\n\n${await readFile(`${folder}/${file}`, "utf8")}`;
  });
  return (await Promise.all(texts)).join("\n\n");
}
