import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { paced, type Pacing } from "./pace";
import { EMPTY, unheard, type Turn } from "./turn";

const turn = (texts: readonly string[]): Turn => ({
  ...EMPTY,
  answers: texts.map((text, n) => ({ ...unheard({ response_id: `r${n}`, model: `m${n}` }), phase: "answering", text })),
});
const grown = (from: Turn, more: string): Turn => ({
  ...from,
  answers: from.answers.map((answer) => ({ ...answer, text: answer.text + more })),
});
const pacing = (given: Partial<Pacing> = {}): Pacing => ({ most: 2, unseenFrames: 10, isSeen: () => true, ...given });
const changed = (before: Turn, after: Turn) => after.answers.filter((one, n) => one !== before.answers[n]).length;

describe("a paced turn", () => {
  it("lets no more cards grow in a frame than it may, and all of them in as many frames as it takes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 4 }), fc.nat(), (cards, most, first) => {
        let drawn = turn(Array.from({ length: cards }, () => "a"));
        const now = grown(drawn, "b");
        const frames = Math.ceil(cards / most);
        for (let frame = first; frame < first + frames; frame += 1) {
          const next = paced(drawn, now, frame, pacing({ most }));
          expect(changed(drawn, next.turn)).toBeLessThanOrEqual(most);
          drawn = next.turn;
        }
        expect(drawn).toEqual(now);
      }),
    );
  });

  it("lets every card grow again and again while all of them go on", () => {
    let drawn = turn(["", "", "", "", ""]);
    let now = drawn;
    const lengths: number[] = [];
    for (let frame = 0; frame < 50; frame += 1) {
      now = grown(now, "x");
      drawn = paced(drawn, now, frame, pacing()).turn;
    }
    for (const { text } of drawn.answers) lengths.push(text.length);
    expect(Math.min(...lengths)).toBeGreaterThan(45);
  });

  it("shows an end, a medium or a further card at once", () => {
    const drawn = turn(["a", "b", "c"]);
    const now = grown(drawn, "!");
    const over: Turn = { ...now, answers: now.answers.map((answer) => ({ ...answer, phase: "finished" })) };
    expect(paced(drawn, over, 0, pacing({ most: 1 })).turn).toBe(over);
    const more = turn(["a", "b", "c", "d"]);
    expect(paced(drawn, more, 0, pacing({ most: 1 })).turn.answers).toHaveLength(4);
  });

  it("draws what nobody sees now and then, and in the end", () => {
    let drawn = turn(["a", "b"]);
    const now = grown(drawn, "!");
    const unseen = pacing({ isSeen: () => false });
    let frames = 0;
    for (let waits = true; waits; frames += 1) ({ turn: drawn, waits } = paced(drawn, now, frames, unseen));
    expect(drawn).toEqual(now);
    expect(frames).toBeGreaterThan(2);
    expect(frames).toBeLessThanOrEqual(11);
  });
});
