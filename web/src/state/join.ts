// Two streams of one turn made one: its own from where a reader stands, and the one of all turns from whenever it began.
//
// Each brings every frame of the turn in order: the turn's own from behind `held` on, the shared one from the first that
// it happens to bring. So once the turn's own has come to that first frame, or past it, nothing lies between the two, and
// the shared one can go on alone.
import { isAfter, placeOf } from "../client/place";
import type { PlacedEvent } from "../types/api";

export interface Joint {
  /** The id of the last frame that was shown. */
  readonly held: string | null;
  /** Whether the shared stream goes on alone. */
  readonly joined: boolean;
  /** What the shared stream has brought without a gap, while the turn's own has not come so far. */
  readonly ahead: readonly PlacedEvent[];
}

export interface Step {
  readonly joint: Joint;
  /** What is to be shown now. */
  readonly shown: readonly PlacedEvent[];
}

/** More is not kept: the shared stream may be joined at any of its frames. */
const MOST_AHEAD = 5_000;

export const jointAfter = (held: string | undefined): Joint => ({ held: held ?? null, joined: false, ahead: [] });

/** The turn's own stream has brought its next frame. */
export function ofTurn(joint: Joint, frame: PlacedEvent): Step {
  if (joint.joined || !isAfter(frame.id, joint.held)) return { joint, shown: [] };
  return met({ ...joint, held: frame.id }, [frame]);
}

/** The shared stream has brought the turn's next frame. */
export function ofMine(joint: Joint, frame: PlacedEvent): Step {
  if (!joint.joined) {
    const ahead = joint.ahead.length < MOST_AHEAD ? [...joint.ahead, frame] : [frame];
    return met({ ...joint, ahead }, []);
  }
  if (!isAfter(frame.id, joint.held)) return { joint, shown: [] };
  return { joint: { ...joint, held: frame.id }, shown: [frame] };
}

/** The shared stream has missed some: the turn's own is needed again. */
export const missed = (joint: Joint): Joint => ({ ...joint, joined: false, ahead: [] });

function met(joint: Joint, shown: readonly PlacedEvent[]): Step {
  const first = joint.ahead[0];
  if (!first || joint.held === null || placeOf(joint.held) < placeOf(first.id)) return { joint, shown };
  const rest = joint.ahead.filter((frame) => isAfter(frame.id, joint.held));
  const held = rest.at(-1)?.id ?? joint.held;
  return { joint: { held, joined: true, ahead: [] }, shown: [...shown, ...rest] };
}
