import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { PlacedEvent } from "../types/api";
import { ApiError } from "./errors";
import { ask, follow } from "./stream";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const id = (n: number) => n.toString().padStart(6, "0");
const frame = (n: number, last: number) =>
  n === last
    ? { type: "complete", id: id(n), conversation_id: "c", turn_id: "t", metadata: {} }
    : { type: "chunk", id: id(n), conversation_id: "c", turn_id: "t", model: "m", response_id: "t-1", content: `${n}` };

/** A server of `last` frames that breaks off after so many at each connection, in mid-line if asked to. */
function server(last: number, breaks: number[]) {
  const asked: string[] = [];
  const answer = (url: string) => {
    asked.push(url);
    const after = new URL(url, "http://x").searchParams.get("after");
    const from = after ? Number(after) + 1 : 1;
    const many = breaks.shift() ?? last;
    const frames = Array.from({ length: Math.max(0, last - from + 1) }, (_, n) => frame(from + n, last));
    const text = frames
      .slice(0, many)
      .map((one) => `data: ${JSON.stringify(one)}\n\n`)
      .join("");
    const cut = frames.length > many ? `${text}data: {"type":"chu` : text;
    return Promise.resolve(new Response(cut, { status: 200 }));
  };
  vi.stubGlobal("fetch", vi.fn(answer));
  return asked;
}

async function collect(frames: AsyncIterable<PlacedEvent>) {
  const ids: string[] = [];
  for await (const one of frames) ids.push(one.id);
  return ids;
}

const quick = { random: () => 0 };

describe("a stream", () => {
  it("gives every frame once and in order, wherever the connection drops", async () => {
    vi.useFakeTimers();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.array(fc.nat({ max: 6 }), { maxLength: 6 }), async (last, breaks) => {
        server(last, [...breaks]);
        const read = collect(follow({ conversationId: "c", turnId: "t" }, new AbortController().signal, quick));
        await vi.runAllTimersAsync();
        expect(await read).toEqual(Array.from({ length: last }, (_, n) => id(n + 1)));
      }),
      { numRuns: 60 },
    );
  });

  it("asks for a new ticket at every connection to another origin, and goes on from its cursor", async () => {
    vi.useFakeTimers();
    const asked = server(4, [1, 1]);
    let made = 0;
    const elsewhere = { base: "https://polylogue.example/api/v1", ticket: () => Promise.resolve(`t${++made}`) };
    const read = collect(
      follow({ conversationId: "c", turnId: "t" }, new AbortController().signal, { ...quick, elsewhere }),
    );
    await vi.runAllTimersAsync();
    expect(await read).toEqual([id(1), id(2), id(3), id(4)]);
    const urls = asked.map((url) => new URL(url));
    expect(urls.map((url) => url.origin)).toEqual(Array(3).fill("https://polylogue.example"));
    expect(urls.map((url) => url.searchParams.get("ticket"))).toEqual(["t1", "t2", "t3"]);
    expect(urls.map((url) => url.searchParams.get("after"))).toEqual([null, id(1), id(2)]);
  });

  it("sends a prompt again with the same key until its first frame, then reads on from the cursor", async () => {
    vi.useFakeTimers();
    const asked = server(3, [0, 1]);
    const read = collect(ask("/compare-stream", { input_data: "x" }, "key-1", new AbortController().signal, quick));
    await vi.runAllTimersAsync();
    expect(await read).toEqual([id(1), id(2), id(3)]);
    expect(asked.map((url) => url.split("?")[0])).toEqual([
      "/api/v1/compare-stream",
      "/api/v1/compare-stream",
      "/api/v1/conversations/c/events",
    ]);
    const keys = vi.mocked(fetch).mock.calls.map(([, init]) => new Headers(init?.headers).get("Idempotency-Key"));
    expect(keys).toEqual(["key-1", "key-1", null]);
  });

  it("reads past the end of a round to the end of the turn, and asks no more after it", async () => {
    const rounds = [frame(1, 1), frame(2, 3), frame(3, 3)].map((one) => `data: ${JSON.stringify(one)}\n\n`).join("");
    const fetched = vi.fn(() => Promise.resolve(new Response(rounds)));
    vi.stubGlobal("fetch", fetched);
    expect(await collect(follow({ conversationId: "c", turnId: "t" }, new AbortController().signal))).toEqual([1, 2, 3].map(id));
    expect(fetched).toHaveBeenCalledTimes(1);
  });

  it("does not wait any longer once the reader has left", async () => {
    const over = new AbortController();
    vi.stubGlobal("fetch", () => Promise.resolve(new Response("{}", { status: 503, headers: { "Retry-After": "3600" } })));
    const links: string[] = [];
    const onLink = (link: string) => {
      links.push(link);
      if (link === "waiting") over.abort();
    };
    expect(await collect(follow({ conversationId: "c" }, over.signal, { ...quick, onLink }))).toEqual([]);
    expect(links).toEqual(["connecting", "waiting", "ended"]);
  });

  it("passes a refusal on and does not insist", async () => {
    const refused = vi.fn(() =>
      Promise.resolve(new Response(JSON.stringify({ detail: "Unknown model.", code: "unknown_model" }), { status: 400 })),
    );
    vi.stubGlobal("fetch", refused);
    const read = collect(ask("/compare-stream", {}, "k", new AbortController().signal));
    await expect(read).rejects.toThrow(ApiError);
    expect(refused).toHaveBeenCalledTimes(1);
  });

  it("ends where nothing of the turn is left", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(null, { status: 204 })));
    expect(await collect(follow({ conversationId: "c", turnId: "t" }, new AbortController().signal))).toEqual([]);
  });

  it("waits as long as the server asks for", async () => {
    vi.useFakeTimers();
    let calls = 0;
    vi.stubGlobal("fetch", () => {
      calls += 1;
      return Promise.resolve(
        calls === 1 ? new Response("{}", { status: 429, headers: { "Retry-After": "7" } }) : new Response(null, { status: 204 }),
      );
    });
    const read = collect(follow({ conversationId: "c" }, new AbortController().signal, quick));
    await vi.advanceTimersByTimeAsync(6900);
    expect(calls).toBe(1);
    await vi.runAllTimersAsync();
    await read;
    expect(calls).toBe(2);
  });
});
