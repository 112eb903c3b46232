// How the UI is built, served while it is worked on, and tested.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const API = process.env.POLYLOGUE_API ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    sourcemap: true,
    // The content security policy allows no inline script and no data: fonts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // The API's guard wants its own name in Host and Origin.
    proxy: {
      "/api": { target: API, changeOrigin: true, headers: { origin: API } },
    },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    // Properties are tried many times, also on a machine that does other things.
    testTimeout: 30_000,
  },
});
