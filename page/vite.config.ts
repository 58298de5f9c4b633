import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const OUT = "../src/sfumato/playground/page";

/** Every file that the built page depends on, in order of names; tests/playground/test_page.py reads them alike. */
function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sources(path);
    return path.endsWith(".test.ts") ? [] : [path];
  });
}

/** Write beside the page which sources it was built from, so that a test sees when it is out of date. */
const signed = {
  name: "signed",
  closeBundle(): void {
    const hash = createHash("sha256");
    for (const path of [...sources("src"), "index.html", "package-lock.json", "tsconfig.json", "vite.config.ts"].sort()) {
      hash.update(path).update("\0").update(readFileSync(path)).update("\0");
    }
    writeFileSync(join(OUT, "sources.sha256"), `${hash.digest("hex")}\n`);
  },
};

// One script and one style sheet with fixed names: the server has a route for each, and page.html inlines both.
export default defineConfig(({ command }) => ({
  plugins: [svelte(), ...(command === "build" ? [signed] : [])],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    modulePreload: false,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    target: "es2022",
    rolldownOptions: {
      output: { entryFileNames: "app.js", assetFileNames: "app[extname]", codeSplitting: false },
    },
  },
  test: { environment: "jsdom", include: ["src/**/*.test.ts"] },
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
}));
