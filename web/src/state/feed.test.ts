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

/** Tabs on one bus, of which one leads; messages arrive a moment later, as between real tabs, and never while asleep. */
function tabs(count: number, read: Read) {
  const listeners: ((message: Message) => void)[] = [];
  const leading: (AbortController | undefined)[] = [];
  const asleep = new Set<number>();
  const told: Message[] = [];
  const lead = (n: number) => {
    const over = new AbortController();
    leading.splice(n, 1, over);
    feeds[n]?.lead(over.signal);
    return over;
  };
  const feeds: Feed[] = Array.from({ length: count }, (_, n) => {
    const post = (message: Message) => {
      if (asleep.has(n)) return;
      told.push(message);
      listeners.forEach((listener, other) => {
        if (other === n) return;
        setTimeout(() => asleep.has(other) || listener(structuredClone(message)), 1);
      });
    };
    // As stealing the lock does: who led no longer does.
    const takeOver = () => {
      leading.forEach((over) => over?.abort());
      lead(n);
    };
    const options = { takeOver, random: () => n / count };
    return new Feed(`${n}`, { post, listen: (heard) => (listeners[n] = heard) }, read, (work) => setTimeout(work, 0), options);
  });
  const follow = (n: number, signal = new AbortController().signal) => collect(feeds[n]?.follow(place, signal));
  return { feeds, lead, asleep, told, follow };
}

async function collect(frames: AsyncIterable<PlacedEvent> | undefined) {
  const ids: string[] = [];
  if (!frames) return ids;
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
          const { feeds, lead } = tabs(8, read);
          let leading = lead(0);
          changeAtMs.forEach((at, n) =>
            setTimeout(() => {
              leading.abort();
              leading = lead((n + 1) % 8);
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

  it("leads where nobody does", async () => {
    vi.useFakeTimers();
    const { follow } = tabs(1, server(3).read);
    const heard = follow(0);
    await vi.runAllTimersAsync();
    expect(await heard).toEqual(all(3));
  });

  it("goes on exactly, and over one connection, when the tab that leads has fallen asleep, whenever that is", async () => {
    vi.useFakeTimers();
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 1_100 }), fc.nat({ max: 1_000 }), async (sleepMs, comeMs) => {
        const { read, state } = server(100);
        const { follow, lead, asleep } = tabs(4, read);
        const first = lead(0);
        setTimeout(() => {
          asleep.add(0);
          // Its connection is as good as dead.
          first.abort();
        }, sleepMs);
        const heard = [1, 2, 3].map(async (n) => {
          await new Promise((resolve) => setTimeout(resolve, n * comeMs));
          return follow(n);
        });
        await vi.runAllTimersAsync();
        for (const ids of await Promise.all(heard)) expect(ids).toEqual(all(100));
        expect(state).toEqual({ open: 0, most: 1 });
      }),
      { numRuns: 10 },
    );
  });

  it("goes on in a tab that heard nothing while another took the lead from it, or from a third", async () => {
    vi.useFakeTimers();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(0, 2), fc.integer({ min: 1, max: 1_900 }), async (deaf, ms) => {
        const { read, state } = server(1_000);
        const { follow, lead, asleep } = tabs(3, read);
        const first = lead(0);
        const heard = [deaf, 1].map((n) => follow(n));
        setTimeout(() => asleep.add(deaf), 500);
        setTimeout(() => lead(1), 550);
        // What was taken from it by a lock it learns when it goes on.
        setTimeout(() => {
          asleep.delete(deaf);
          first.abort();
        }, 600 + ms);
        await vi.runAllTimersAsync();
        for (const ids of await Promise.all(heard)) expect(ids).toEqual(all(1_000));
        expect(state.open).toBe(0);
      }),
      { numRuns: 10 },
    );
  });

  it("leaves the lead where it is while the one that leads is awake, though nothing comes for long", async () => {
    vi.useFakeTimers();
    const quiet: Read = async function* () {
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      yield frame(1, 1);
    };
    const { follow, lead, told } = tabs(3, quiet);
    lead(0);
    const heard = follow(2);
    await vi.runAllTimersAsync();
    expect(await heard).toEqual(all(1));
    expect(told.filter(({ kind }) => kind === "lead")).toHaveLength(1);
    expect(told.filter(({ kind }) => kind === "pong").length).toBeGreaterThan(5);
  });

  it("writes nothing out for other tabs that only its own tab reads", async () => {
    vi.useFakeTimers();
    const { follow, lead, told } = tabs(2, server(100).read);
    lead(0);
    const heard = follow(0);
    await vi.runAllTimersAsync();
    expect(await heard).toEqual(all(100));
    expect(told.map(({ kind }) => kind)).toEqual(["lead", "want", "leave"]);
  });

  it("gives all of it to a reader who takes its time", async () => {
    vi.useFakeTimers();
    const { feeds, lead } = tabs(1, server(20).read);
    lead(0);
    const heard = (async () => {
      const ids: string[] = [];
      for await (const one of feeds[0]?.follow(place, new AbortController().signal) ?? []) {
        ids.push(one.id);
        await new Promise((resolve) => setTimeout(resolve, 35));
      }
      return ids;
    })();
    await vi.runAllTimersAsync();
    expect(await heard).toEqual(all(20));
  });

  it("passes a refusal on to the tab that asked", async () => {
    vi.useFakeTimers();
    const refusing: Read = async function* () {
      await Promise.resolve();
      yield* [];
      throw new ApiError(404, "not_found", "There is no such conversation.");
    };
    const { follow, lead } = tabs(2, refusing);
    lead(0);
    const heard = follow(1);
    const expected = expect(heard).rejects.toMatchObject({ status: 404, code: "not_found" });
    await vi.runAllTimersAsync();
    await expected;
  });

  it("stops reading when the last tab that wanted it has left", async () => {
    vi.useFakeTimers();
    const { read, state } = server(1000);
    const { follow, lead } = tabs(2, read);
    lead(0);
    const over = new AbortController();
    const heard = follow(1, over.signal);
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
