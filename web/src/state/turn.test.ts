import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { PlacedEvent } from "../types/api";
import { apply, EMPTY, type Turn } from "./turn";

const place = { conversation_id: "c", turn_id: "t" };
const id = (n: number) => n.toString().padStart(6, "0");
const of = (n: number, model: string) => ({ ...place, id: id(n), model, response_id: `t-${model}` });

const piece = fc.record({ model: fc.constantFrom("a", "b", "c"), content: fc.string() });

const fold = (frames: readonly PlacedEvent[], from: Turn = EMPTY) =>
  frames.reduce((turn, frame) => apply(turn, frame, 0), from);

describe("apply", () => {
  it("joins the pieces of each answer in order, whatever came between", () => {
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const turn = fold(
          pieces.map(({ model, content }, n) => ({ type: "chunk", content, ...of(n, model) })),
        );
        for (const answer of turn.answers) {
          const own = pieces.filter((one) => one.model === answer.model).map((one) => one.content);
          expect(answer.text).toBe(own.join(""));
        }
      }),
    );
  });

  it("shows nothing twice when frames come again after a reconnect", () => {
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1 }), fc.nat(), (pieces, drop) => {
        const frames: PlacedEvent[] = pieces.map(({ model, content }, n) => ({
          type: "chunk",
          content,
          ...of(n, model),
        }));
        const at = drop % frames.length;
        expect(fold([...frames.slice(0, at + 1), ...frames])).toEqual(fold(frames));
      }),
    );
  });

  it("keeps the answers in the order of request", () => {
    const frames: PlacedEvent[] = [
      { type: "start", attempt: 1, ...of(1, "b") },
      { type: "start", attempt: 1, ...of(2, "a") },
      { type: "chunk", content: "x", ...of(3, "a") },
    ];
    expect(fold(frames).answers.map((answer) => answer.model)).toEqual(["b", "a"]);
  });

  it("keeps the partial text of an answer that was stopped", () => {
    const turn = fold([
      { type: "chunk", content: "half", ...of(1, "a") },
      { type: "done", error: false, finish_reason: "cancelled", ...of(2, "a") },
    ]);
    expect(turn.answers[0]).toMatchObject({ phase: "cancelled", text: "half" });
  });

  it("runs again with a further round of it", () => {
    const round: PlacedEvent[] = [
      { type: "start", attempt: 1, ...of(1, "a") },
      { type: "done", error: false, finish_reason: "stop", ...of(2, "a") },
      { type: "complete", ...place, id: id(3) } as PlacedEvent,
    ];
    expect(fold(round).complete).toBe(true);
    expect(fold([...round, { type: "start", attempt: 1, ...of(4, "b") }]).complete).toBe(false);
  });

  it("follows a medium through its phases and keeps its place from the moment that its measures are known", () => {
    const medium = { media_id: "m", media_type: "image" } as const;
    const frames: PlacedEvent[] = [
      { type: "media_pending", ...medium, phase: "generating", ...of(1, "a") },
      { type: "media_pending", ...medium, phase: "validating", size_bytes: 7, ...of(2, "a") },
      { type: "media_pending", ...medium, phase: "uploading", width: 4, height: 3, ...of(3, "a") },
    ];
    const phases = frames.map((_, n) => fold(frames.slice(0, n + 1)).answers[0]?.media[0]);
    expect(phases.map((one) => one?.phase)).toEqual(["generating", "validating", "uploading"]);
    expect(phases[2]).toMatchObject({ sizeBytes: 7, width: 4, height: 3 });
  });

  it("takes phase and measures of a medium from a snapshot", () => {
    const known = { media_id: "m", media_type: "image", width: 4, height: 3 } as const;
    const media = [
      { ...known, status: "validating" },
      { ...known, media_id: "n", status: "stored", url: "https://media.example.com/n" },
    ];
    const frame: PlacedEvent = { type: "snapshot", content: "", reasoning: "", media, status: "running", ...of(1, "a") };
    const [checked, stored] = fold([frame]).answers[0]?.media ?? [];
    expect(checked).toMatchObject({ phase: "validating", width: 4, height: 3, attachment: null });
    expect(stored).toMatchObject({ phase: "ready", attachment: { width: 4, height: 3 } });
  });

  it("takes a phase of a later version for one more on the way", () => {
    const frame = { type: "media_pending", media_id: "m", media_type: "image", phase: "polishing", ...of(1, "a") };
    expect(fold([frame as unknown as PlacedEvent]).answers[0]?.media[0]?.phase).toBe("pending");
  });

  it("takes a deleted medium from sight", () => {
    const turn = fold([
      { type: "media_pending", media_id: "m", media_type: "image", phase: "uploading", ...of(1, "a") },
      { type: "media_deleted", media_id: "m", reason: "user", ...place, id: id(2) },
    ]);
    expect(turn.answers[0]?.media[0]).toMatchObject({ phase: "deleted", attachment: null });
  });
});
