import { defineConfig } from "vite";

// Names without hashes: the server forbids caching, and a diff of the built page stays readable.
export default defineConfig({
  base: "./",
  publicDir: false,
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
