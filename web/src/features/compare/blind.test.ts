import { describe, expect, it } from "vitest";
import { shuffled } from "./blind";

const ids = (turn: string, many: number) => Array.from({ length: many }, (_, n) => `${turn}-${n + 1}`);
const order = (given: readonly string[]) => shuffled(given, (id) => id);

describe("the order of answers that are judged blind", () => {
  it("says nothing of the order of choice: each is the first about as often", () => {
    const turns = 3_000;
    const first = new Map<string, number>();
    for (let n = 0; n < turns; n++) {
      const number = order(ids((n * 7_919).toString(16).padStart(32, "0"), 3))[0]?.at(-1) ?? "";
      first.set(number, (first.get(number) ?? 0) + 1);
    }
    expect([...first.keys()].sort()).toEqual(["1", "2", "3"]);
    for (const times of first.values()) expect(Math.abs(times / turns - 1 / 3)).toBeLessThan(0.05);
  });

  it("holds all answers, is the same at each look, and keeps its order when one is added", () => {
    const three = ids("t", 3);
    expect([...order(three)].sort()).toEqual(three);
    expect(order(three)).toEqual(order(three));
    expect(order(ids("t", 4)).filter((id) => three.includes(id))).toEqual(order(three));
  });
});
