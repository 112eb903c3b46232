import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { mine, type Heard } from "./mine";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const frame = (n: number) => ({ type: "chunk", id: `f${n}`, conversation_id: "c", turn_id: "t", content: `${n}` });
const event = (id: string, data: unknown) => `id: ${id}\nevent: x\ndata: ${JSON.stringify(data)}\n\n`;
const gap = (reason: string, resume: string) =>
  event(resume, { type: "gap", id: resume, conversation_id: "", reason, resume_from: resume });

/** Answers one request after the other; the last one stays open. */
function server(...answers: (string | Response)[]) {
  const asked: (string | null)[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    asked.push(new URL(url, "http://x").searchParams.get("after"));
    const next = answers.shift();
    if (next instanceof Response) return Promise.resolve(next);
    if (next !== undefined) return Promise.resolve(new Response(next));
    return new Promise((_, reject) => {
      init.signal?.addEventListener("abort", () => reject(new DOMException("Left.", "AbortError")));
    });
  });
  return asked;
}

async function heardOf() {
  const over = new AbortController();
  const heard: Heard[] = [];
  const read = (async () => {
    for await (const one of mine(over.signal, { random: () => 0 })) heard.push(one);
  })();
  await vi.advanceTimersByTimeAsync(30_000);
  over.abort();
  await read;
  return heard.map((one) => (one === null ? null : one.id));
}

describe("the stream of all conversations", () => {
  it("begins now, and goes on with its own id where it broke", async () => {
    const asked = server("retry: 500\nid: v0\n\n" + event("v1", frame(1)), event("v2", frame(2)));
    expect(await heardOf()).toEqual(["f1", "f2"]);
    expect(asked).toEqual([null, "v1", "v2"]);
  });

  it("goes on from where the server says when it was cut off", async () => {
    const asked = server(event("v1", frame(1)) + gap("slow", "v1"), event("v2", frame(2)) + gap("shutdown", "v2"));
    expect(await heardOf()).toEqual(["f1", "f2"]);
    expect(asked).toEqual([null, "v1", "v2"]);
  });

  it("says so where some were missed", async () => {
    const asked = server(event("v1", frame(1)), gap("retention", "v9"), event("v10", frame(10)));
    expect(await heardOf()).toEqual(["f1", null, "f10"]);
    expect(asked).toEqual([null, "v1", "v9", "v10"]);
  });

  it("begins anew where its id is of another log", async () => {
    const asked = server(event("v1", frame(1)), new Response("{}", { status: 409 }), event("w1", frame(7)));
    expect(await heardOf()).toEqual(["f1", null, "f7"]);
    expect(asked).toEqual([null, "v1", null, "w1"]);
  });

  it("passes on that it is refused", async () => {
    server(new Response("{}", { status: 401 }));
    await expect(mine(new AbortController().signal).next()).rejects.toMatchObject({ status: 401 });
  });
});
