import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

import { defineConfig, type Plugin } from "vite";

/** What the page is made of; `tests/runtime/test_studio_page.py` has the same list. */
const SOURCES = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];

/** Writes the hash of the source beside the page, by which a test sees that the page is current. */
function sourceHash(): Plugin {
  return {
    name: "source-hash",
    generateBundle() {
      const files = readdirSync("src", { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll("\\", "/"));
      const hash = createHash("sha256");
      for (const path of [...SOURCES, ...files].sort()) hash.update(`${path}\0`).update(readFileSync(path)).update("\0");
      this.emitFile({ type: "asset", fileName: "source.txt", source: `${hash.digest("hex")}\n` });
    },
  };
}

// Names without hashes: the server forbids caching, and a diff of the built page stays readable.
export default defineConfig({
  base: "./",
  publicDir: false,
  plugins: [sourceHash()],
  build: {
    outDir: "../grainspec_runtime/studio/page",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    rolldownOptions: {
      output: {
        entryFileNames: "studio.js",
        chunkFileNames: "[name].js",
        assetFileNames: "studio[extname]",
      },
    },
  },
});
