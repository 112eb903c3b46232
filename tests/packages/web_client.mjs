// The web UI's own stream client in Node, against the address that it is given: prints every frame and every change of the link.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [web, origin, models] = process.argv.slice(2);
const { createServer } = await import(
  pathToFileURL(createRequire(`${web}/package.json`).resolve("vite")).href.replace(/\.cjs$/, ".js")
);
const vite = await createServer({
  root: web,
  configFile: false,
  appType: "custom",
  logLevel: "error",
  server: { middlewareMode: true, ws: false, watch: null },
  optimizeDeps: { noDiscovery: true, include: [] },
});
// What a page has and Node has not: events of the window, and an origin of its own.
const page = new EventTarget();
for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) globalThis[name] = page[name].bind(page);
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible", hidden: false });
const fetched = globalThis.fetch;
globalThis.fetch = (path, init) => fetched(new URL(path, origin), init);

const say = (told) => process.stdout.write(JSON.stringify(told) + "\n");
const { ask } = await vite.ssrLoadModule("/src/client/stream.ts");
const { newKey } = await vite.ssrLoadModule("/src/client/key.ts");
const body = { input_data: "Tell me a story", models: models.split(",") };
const hooks = { onLink: (link) => say({ link }) };
for await (const frame of ask("/compare-stream", body, newKey(), new AbortController().signal, hooks)) say({ frame });
await vite.close();
process.exit(0);
