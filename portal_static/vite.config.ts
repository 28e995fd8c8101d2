import { defineConfig, type Plugin } from "vite";

/** The drawing of a measurement's text sets a style attribute, which our policy forbids; the same through CSSOM is
 *  allowed. A new version without that line stops the build here, so that this plugin does not outlive its reason. */
function styleWithoutAttribute(): Plugin {
  const [attribute, cssom] = ["textElement.setAttribute('style', combinedStyle)", "textElement.style.cssText = combinedStyle"];
  return {
    name: "style-without-attribute",
    transform(code, id) {
      if (!id.endsWith("/drawingSvg/drawTextBox.js")) return undefined;
      if (!code.includes(attribute)) this.error("drawTextBox.js changed: look whether this plugin is still needed");
      return code.replace(attribute, cssom);
    },
  };
}

// `events` is a node built-in that the viewer's rendering library imports by that name: the package's folder (with
// the slash) is meant.
export default defineConfig({
  plugins: [styleWithoutAttribute()],
  resolve: { alias: { events: "events/" } },
  worker: { format: "es" },
  server: { fs: { allow: [".."] } }, // the addresses are defined in the domain
  build: { outDir: "dist", emptyOutDir: true, chunkSizeWarningLimit: 6000, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
