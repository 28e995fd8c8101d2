import { defineConfig } from "vite";

// Vite's default target and chunk names are kept. `events` is a node built-in that the viewer's rendering library
// imports by that name: the package's folder (with the slash) is meant.
export default defineConfig({
  resolve: { alias: { events: "events/" } },
  worker: { format: "es" },
  build: { outDir: "dist", emptyOutDir: true, chunkSizeWarningLimit: 6000, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
