import { describe, expect, it } from "vitest";
import { Candidate } from "./leader";

interface Waiting {
  signal: AbortSignal | undefined;
  run: () => Promise<void>;
}

/** One lock as a browser has it: in line, given back, stolen. */
function locks(): LockManager {
  const line: Waiting[] = [];
  let holder: { stolen: () => void } | null = null;
  const next = () => {
    const first = line.shift();
    if (first) void first.run();
  };
  const request = (_name: string, options: LockOptions, work: () => Promise<void>) =>
    new Promise<void>((resolve, reject) => {
      const run = async () => {
        const own = { stolen: () => reject(new DOMException("Stolen.", "AbortError")) };
        holder?.stolen();
        holder = own;
        await work();
        if (holder !== own) return;
        holder = null;
        resolve();
        next();
      };
      if (options.steal || holder === null) {
        void run();
        return;
      }
      const waiting: Waiting = { signal: options.signal, run };
      line.push(waiting);
      options.signal?.addEventListener("abort", () => {
        line.splice(line.indexOf(waiting), 1);
        reject(new DOMException("Left.", "AbortError"));
      });
    });
  return { request } as unknown as LockManager;
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

function candidates(count: number) {
  const shared = locks();
  const signals: AbortSignal[][] = [];
  const made = Array.from({ length: count }, (_, n) => {
    const own: AbortSignal[] = [];
    signals.push(own);
    return new Candidate(`x`, (signal) => signals[n]?.push(signal), shared);
  });
  const leading = () => signals.flatMap((own, n) => (own.some((signal) => !signal.aborted) ? [n] : []));
  return { made, leading };
}

describe("candidates", () => {
  it("lead one at a time, in the order in which they stood", async () => {
    const { made, leading } = candidates(3);
    made.forEach((one) => one.stand());
    await settled();
    expect(leading()).toEqual([0]);
    made[0]?.rest();
    await settled();
    expect(leading()).toEqual([1]);
  });

  it("are replaced when they sleep, and stand in line again", async () => {
    const { made, leading } = candidates(2);
    made.forEach((one) => one.stand());
    await settled();
    made[1]?.takeOver();
    await settled();
    expect(leading()).toEqual([1]);
    made[1]?.rest();
    await settled();
    expect(leading()).toEqual([0]);
  });

  it("lead again after a rest", async () => {
    const { made, leading } = candidates(1);
    made[0]?.stand();
    await settled();
    made[0]?.rest();
    await settled();
    expect(leading()).toEqual([]);
    made[0]?.stand();
    await settled();
    expect(leading()).toEqual([0]);
  });
});
