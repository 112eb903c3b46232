// @vitest-environment node
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { afterEach, describe, expect, it, vi } from "vitest";

const MOST_BYTES = 200_000;

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("the build", () => {
  it("loads at most 200 KB of script, packed, before anything is asked for", async () => {
    // As `npm run build` builds it: in the tests' own mode React brings what helps with development.
    vi.stubEnv("NODE_ENV", "production");
    const built = (await build({ logLevel: "silent", build: { write: false, sourcemap: false } })) as Rolldown.RolldownOutput;
    const chunks = new Map(built.output.flatMap((one) => (one.type === "chunk" ? [[one.fileName, one] as const] : [])));
    const first = new Set<string>();
    const take = (name: string) => {
      if (first.has(name)) return;
      first.add(name);
      chunks.get(name)?.imports.forEach(take);
    };
    for (const chunk of chunks.values()) if (chunk.isEntry) take(chunk.fileName);
    const bytes = [...first].reduce((sum, name) => sum + gzipSync(chunks.get(name)?.code ?? "").byteLength, 0);
    expect(first.size).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(MOST_BYTES);
    // Formulas and highlighting come when a text has them.
    const names = [...first].flatMap((name) => Object.keys(chunks.get(name)?.modules ?? {}));
    expect(names.filter((name) => /katex|highlight\.js|lowlight/.test(name) && !name.includes("/src/"))).toEqual([]);
  }, 120_000);

  it("is locked without addresses to download from", () => {
    const lock = readFileSync(new URL("../package-lock.json", import.meta.url), "utf-8");
    expect(lock).not.toContain('"resolved"');
    expect(lock).toContain('"integrity"');
  });
});
