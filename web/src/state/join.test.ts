import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PlacedEvent } from "../types/api";
import { jointAfter, missed, ofMine, ofTurn, type Joint } from "./join";

/** Ids as the API makes them: where one would begin again may differ between two streams. */
const id = (n: number, start = 0) =>
  `1-0badcafe-0001-${n.toString(16).padStart(12, "0")}-00-${start.toString(16).padStart(12, "0")}`;
const frame = (n: number, start = 0): PlacedEvent => ({
  type: "chunk",
  id: id(n, start),
  conversation_id: "c",
  turn_id: "t",
  model: "m",
  response_id: "t-1",
  content: `${n} `,
});
const numberOf = (one: PlacedEvent) => parseInt(one.id.slice(16, 28), 16);

/** Reads `last` frames from behind `held`, with the steps of the two streams in the order of `moves`; the rest follows. */
function play(last: number, held: number, begins: number, moves: readonly ("turn" | "mine" | "missed")[]) {
  let joint: Joint = jointAfter(held === 0 ? undefined : id(held));
  let nextOfTurn = held + 1;
  let nextOfMine = begins;
  const shown: number[] = [];
  let readAlone = 0;
  const step = (move: "turn" | "mine" | "missed") => {
    if (move === "missed") {
      joint = missed(joint);
      // What it missed; and the turn's own stream begins again where the reader stands.
      nextOfMine = Math.min(last + 1, nextOfMine + 2);
      nextOfTurn = (shown.at(-1) ?? held) + 1;
      return;
    }
    if (move === "turn" ? joint.joined || nextOfTurn > last : nextOfMine > last) return;
    const alone = joint.joined;
    const done = move === "turn" ? ofTurn(joint, frame(nextOfTurn++)) : ofMine(joint, frame(nextOfMine++, 1));
    joint = done.joint;
    shown.push(...done.shown.map(numberOf));
    if (alone) readAlone += done.shown.length;
  };
  moves.forEach(step);
  for (let n = 0; n <= 2 * last; n += 1) {
    step("turn");
    step("mine");
  }
  return { shown, joint, readAlone };
}

const order = fc.array(fc.constantFrom("turn" as const, "mine" as const, "missed" as const), { maxLength: 60 });

describe("two streams of one turn", () => {
  it("show every frame once and in order, whichever is ahead and wherever the shared one begins", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 25 }), fc.nat(), fc.nat(), order, (last, h, b, moves) => {
        const held = h % (last + 1);
        const begins = 1 + (b % (last + 1));
        const { shown } = play(last, held, begins, moves);
        expect(shown).toEqual(Array.from({ length: last - held }, (_, n) => held + n + 1));
      }),
    );
  });

  it("are one as soon as the turn's own has come to the first frame of the shared one", () => {
    let { joint } = ofMine(jointAfter(id(3)), frame(5));
    expect(joint.joined).toBe(false);
    ({ joint } = ofTurn(joint, frame(4)));
    expect(joint.joined).toBe(false);
    ({ joint } = ofTurn(joint, frame(5)));
    expect(joint.joined).toBe(true);
    expect(ofMine(joint, frame(6)).shown.map(numberOf)).toEqual([6]);
  });

  it("need nothing of the turn's own where the shared one brings again what is held", () => {
    const { joint, shown } = ofMine(jointAfter(id(3)), frame(3, 1));
    expect(joint.joined).toBe(true);
    expect(shown).toEqual([]);
  });

  it("are joined in the end wherever the shared one brings a frame", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 25 }), fc.nat(), order, (last, b, moves) => {
        const begins = 1 + (b % last);
        const calm = moves.filter((move) => move !== "missed");
        expect(play(last, 0, begins, calm).joint.joined).toBe(true);
      }),
    );
  });
});
