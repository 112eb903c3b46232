import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ReadMine } from "../client/mine";
import type { Read } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { ApiError } from "../client/errors";
import { Mine } from "./mine";
import { Slots } from "./slots";
import { sharing, taking } from "./source";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const STEP_MS = 10;
const id = (n: number) => n.toString().padStart(6, "0");
const all = (last: number) => Array.from({ length: last }, (_, n) => id(n + 1));

const later = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

/** Conversations that write a frame each at every step, from when they begin; read one by one, or all on one stream. */
function server(last: number, begins: Record<string, number>, { missAt = 0 } = {}) {
  const began = Date.now();
  const state = { turns: 0, mostTurns: 0, asked: 0, mine: 0 };
  const written = (name: string) =>
    Math.max(0, Math.min(last, Math.floor((Date.now() - began - (begins[name] ?? 0)) / STEP_MS)));
  const frame = (name: string, n: number): PlacedEvent => {
    const place = { id: id(n), conversation_id: name, turn_id: "t" };
    return n === last
      ? ({ type: "complete", ...place } as PlacedEvent)
      : { type: "chunk", ...place, model: "m", response_id: "r", content: "x" };
  };
  const turn: Read = async function* (place, signal, hooks) {
    state.asked += 1;
    state.turns += 1;
    state.mostTurns = Math.max(state.mostTurns, state.turns);
    let open = true;
    const close = () => {
      if (open) state.turns -= 1;
      open = false;
    };
    signal.addEventListener("abort", close);
    try {
      hooks?.onLink?.("live");
      for (let n = place.after ? Number(place.after) + 1 : 1; n <= last; n += 1) {
        while (written(place.conversationId) < n) {
          await later(STEP_MS, signal);
          if (signal.aborted) return;
        }
        yield frame(place.conversationId, n);
      }
    } finally {
      close();
    }
  };
  const mine: ReadMine = async function* (signal, hooks) {
    state.mine += 1;
    try {
      hooks?.onLink?.("live");
      const had = new Map(Object.keys(begins).map((name) => [name, written(name)]));
      let steps = 0;
      while (!signal.aborted) {
        steps += 1;
        if (steps === missAt) {
          for (const name of had.keys()) had.set(name, written(name));
          yield null;
        }
        for (const [name, n] of had) {
          const now = written(name);
          had.set(name, now);
          for (let one = n + 1; one <= now; one += 1) yield frame(name, one);
        }
        await later(STEP_MS, signal);
      }
    } finally {
      state.mine -= 1;
    }
  };
  return { turn, mine, state };
}

async function collect(frames: AsyncIterable<PlacedEvent>) {
  const ids: string[] = [];
  for await (const one of frames) ids.push(one.id);
  return ids;
}

const never = () => new AbortController().signal;

describe("reading many turns", () => {
  it("brings each of them every frame once and in order, whenever it begins and whatever the shared stream misses", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.tuple(fc.nat({ max: 300 }), fc.nat({ max: 900 }), fc.nat({ max: 60 })), { minLength: 1, maxLength: 8 }),
        fc.nat({ max: 60 }),
        async (last, turns, missAt) => {
          const begins = Object.fromEntries(turns.map(([at], n) => [`c${n}`, at]));
          const { turn, mine, state } = server(last, begins, { missAt });
          const read = sharing(new Mine(mine), taking(new Slots(3), turn));
          const heard = turns.map(async ([, comeMs, held], n) => {
            await new Promise((resolve) => setTimeout(resolve, comeMs));
            const after = Math.min(held, last - 1);
            const place = { conversationId: `c${n}`, turnId: "t", ...(after > 0 ? { after: id(after) } : {}) };
            return (await collect(read(place, never()))).concat(after > 0 ? all(after) : []).sort();
          });
          await vi.runAllTimersAsync();
          for (const ids of await Promise.all(heard)) expect(ids).toEqual(all(last));
          expect(state).toMatchObject({ turns: 0, mine: 0 });
          expect(state.mostTurns).toBeLessThanOrEqual(3);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("takes one connection for all of them once they run", async () => {
    const begins = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`c${n}`, 0]));
    const { turn, mine, state } = server(500, begins);
    const read = sharing(new Mine(mine), taking(new Slots(3), turn));
    const heard = Object.keys(begins).map((conversationId) => collect(read({ conversationId, turnId: "t" }, never())));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(state).toMatchObject({ turns: 0, mine: 1 });
    await vi.runAllTimersAsync();
    for (const ids of await Promise.all(heard)) expect(ids).toEqual(all(500));
    expect(state).toMatchObject({ turns: 0, mine: 0 });
  });

  it("takes the turn's own connection, and no other, for one", async () => {
    const { turn, mine, state } = server(50, { c: 0 });
    const read = sharing(new Mine(mine), turn);
    const heard = collect(read({ conversationId: "c", turnId: "t" }, never()));
    await vi.advanceTimersByTimeAsync(100);
    expect(state).toMatchObject({ turns: 1, mine: 0 });
    await vi.runAllTimersAsync();
    expect(await heard).toEqual(all(50));
  });

  it("asks for nothing where the shared stream has just brought the frame that is held", async () => {
    const { turn, mine, state } = server(300, { a: 0, b: 0, c: 500 });
    const read = sharing(new Mine(mine), turn);
    const others = ["a", "b"].map((conversationId) => collect(read({ conversationId, turnId: "t" }, never())));
    await vi.advanceTimersByTimeAsync(600);
    const asked = state.asked;
    const heard = collect(read({ conversationId: "c", turnId: "t", after: id(2) }, never()));
    await vi.runAllTimersAsync();
    expect(await heard).toEqual(all(300).slice(2));
    expect(state.asked).toBe(asked);
    await Promise.all(others);
  });

  it("goes on by their own streams where the shared one is refused", async () => {
    const { turn } = server(80, { a: 0, b: 0 });
    const refusing: ReadMine = async function* () {
      await later(STEP_MS, never());
      yield* [];
      throw new ApiError(404, "not_found", "There is no such stream.");
    };
    const read = sharing(new Mine(refusing), turn);
    const heard = ["a", "b"].map((conversationId) => collect(read({ conversationId, turnId: "t" }, never())));
    await vi.runAllTimersAsync();
    for (const ids of await Promise.all(heard)) expect(ids).toEqual(all(80));
  });

  it("passes on what the turn's own stream is refused with", async () => {
    const refused: Read = async function* () {
      await later(STEP_MS, never());
      yield* [];
      throw new ApiError(404, "not_found", "There is no such conversation.");
    };
    const { mine } = server(10, { a: 0 });
    const heard = collect(sharing(new Mine(mine), refused)({ conversationId: "a", turnId: "t" }, never()));
    const expected = expect(heard).rejects.toMatchObject({ status: 404 });
    await vi.runAllTimersAsync();
    await expected;
  });
});
