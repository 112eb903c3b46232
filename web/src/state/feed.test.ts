import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../client/errors";
import type { Follow, Read } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { Feed, type Message } from "./feed";
import { Slots } from "./slots";
import { taking } from "./source";

afterEach(() => void vi.useRealTimers());

const id = (n: number) => n.toString().padStart(6, "0");
const place: Follow = { conversationId: "c", turnId: "t" };
const frame = (n: number, last: number): PlacedEvent =>
  n === last
    ? ({ type: "complete", id: id(n), conversation_id: "c", turn_id: "t" } as PlacedEvent)
    : { type: "chunk", id: id(n), conversation_id: "c", turn_id: "t", model: "m", response_id: "r", content: "x" };

/** The server's side: gives a frame at every step, and counts who reads at once. */
function server(last: number) {
  const state = { open: 0, most: 0 };
  const read: Read = async function* (from, signal) {
    state.open += 1;
    state.most = Math.max(state.most, state.open);
    let closed = false;
    const close = () => {
      if (!closed) state.open -= 1;
      closed = true;
    };
    signal.addEventListener("abort", close);
    try {
      for (let n = from.after ? Number(from.after) + 1 : 1; n <= last; n += 1) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (signal.aborted) return;
        yield frame(n, last);
      }
    } finally {
      close();
    }
  };
  return { read, state };
}

/** Tabs on one bus, of which one leads; messages arrive a moment later, as between real tabs. */
function tabs(count: number, read: Read) {
  const listeners: ((message: Message) => void)[] = [];
  const feeds = Array.from({ length: count }, (_, n) => {
    const post = (message: Message) =>
      listeners.forEach((listener, other) => other !== n && setTimeout(() => listener(structuredClone(message)), 1));
    return new Feed(`${n}`, { post, listen: (heard) => (listeners[n] = heard) }, read, (work) => setTimeout(work, 0));
  });
  return feeds;
}

async function collect(frames: AsyncIterable<PlacedEvent>) {
  const ids: string[] = [];
  for await (const one of frames) ids.push(one.id);
  return ids;
}

const all = (last: number) => Array.from({ length: last }, (_, n) => id(n + 1));

describe("a feed", () => {
  it("gives eight tabs every frame once and in order over one connection, whenever they come and whoever leads", async () => {
    vi.useFakeTimers();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.nat({ max: 250 }), { minLength: 8, maxLength: 8 }),
        fc.array(fc.nat({ max: 250 }), { maxLength: 4 }),
        async (last, comeAtMs, changeAtMs) => {
          const { read, state } = server(last);
          const feeds = tabs(8, read);
          let leading = new AbortController();
          feeds[0]?.lead(leading.signal);
          changeAtMs.forEach((at, n) =>
            setTimeout(() => {
              leading.abort();
              leading = new AbortController();
              feeds[(n + 1) % 8]?.lead(leading.signal);
            }, at),
          );
          const heard = feeds.map(async (feed, n) => {
            await new Promise((resolve) => setTimeout(resolve, comeAtMs[n]));
            return collect(feed.follow(place, new AbortController().signal));
          });
          await vi.runAllTimersAsync();
          for (const ids of await Promise.all(heard)) expect(ids).toEqual(all(last));
          expect(state.most).toBe(1);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("reads for itself where nobody leads", async () => {
    vi.useFakeTimers();
    const [feed] = tabs(1, server(3).read);
    const heard = collect(feed?.follow(place, new AbortController().signal) ?? ([] as never));
    await vi.runAllTimersAsync();
    expect(await heard).toEqual(all(3));
  });

  it("passes a refusal on to the tab that asked", async () => {
    vi.useFakeTimers();
    const refusing: Read = async function* () {
      await Promise.resolve();
      yield* [];
      throw new ApiError(404, "not_found", "There is no such conversation.");
    };
    const [first, second] = tabs(2, refusing);
    first?.lead(new AbortController().signal);
    const heard = collect(second?.follow(place, new AbortController().signal) ?? []  as never);
    const expected = expect(heard).rejects.toMatchObject({ status: 404, code: "not_found" });
    await vi.runAllTimersAsync();
    await expected;
  });

  it("stops reading when the last tab that wanted it has left", async () => {
    vi.useFakeTimers();
    const { read, state } = server(1000);
    const [first, second] = tabs(2, read);
    first?.lead(new AbortController().signal);
    const over = new AbortController();
    const heard = collect(second?.follow(place, over.signal) ?? [] as never);
    await vi.advanceTimersByTimeAsync(100);
    expect(state.open).toBe(1);
    over.abort();
    await vi.advanceTimersByTimeAsync(100);
    await heard;
    expect(state.open).toBe(0);
  });
});

describe("a few connections", () => {
  it("serve many turns to their ends, exactly", async () => {
    vi.useFakeTimers();
    const last = 400; // four seconds: longer than anybody may keep a connection while others wait
    const { read, state } = server(last);
    const source = taking(new Slots(2), read);
    const heard = Array.from({ length: 5 }, () => collect(source(place, new AbortController().signal)));
    await vi.runAllTimersAsync();
    for (const ids of await Promise.all(heard)) expect(ids).toEqual(all(last));
    expect(state.most).toBe(2);
  });
});
