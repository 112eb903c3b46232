// How much of what many models say is drawn in one frame: a few cards, in turn; what is more than text, at once.
import type { Answer, Turn } from "./turn";

export interface Pacing {
  /** How many cards may grow in a frame. */
  most: number;
  /** How many frames a card that nobody sees waits. */
  unseenFrames: number;
  isSeen: (responseId: string) => boolean;
}

/** What is drawn, and whether more of it waits for the next frame. */
export interface Paced {
  readonly turn: Turn;
  readonly waits: boolean;
}

/** The turn to draw in frame number `frame`, after `drawn` was. With as many frames as there are cards, all of `now`. */
export function paced(drawn: Turn, now: Turn, frame: number, { most, unseenFrames, isSeen }: Pacing): Paced {
  let left = most;
  let waits = false;
  const count = now.answers.length;
  const answers = [...now.answers];
  for (let n = 0; n < count; n += 1) {
    // Who is first changes from frame to frame, so that nobody waits for ever.
    const at = (frame * most + n) % count;
    const before = drawn.answers[at];
    const next = now.answers[at];
    if (!before || !next || before === next || !hasOnlyGrown(before, next)) continue;
    const due = isSeen(next.responseId) ? left > 0 : (frame + at) % unseenFrames === 0;
    if (due) {
      left -= 1;
      continue;
    }
    answers[at] = before;
    waits = true;
  }
  return { turn: waits ? { ...now, answers } : now, waits };
}

const GROWING = new Set(["text", "reasoning"]);

/** Whether the reader would miss nothing but words. */
function hasOnlyGrown(before: Answer, next: Answer): boolean {
  const names = Object.keys(next) as (keyof Answer)[];
  return names.every((name) => GROWING.has(name) || before[name] === next[name]);
}
