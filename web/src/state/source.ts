// How the tab that leads reads turns for all tabs: one connection a running turn, a few at a time.
import { follow, type Read } from "../client/stream";
import { Slots } from "./slots";

/** Reads like `read`, and lets go of its connection while others wait for one; goes on exactly where it was. */
export function taking(slots: Slots, read: Read): Read {
  return async function* (place, signal, hooks = {}) {
    let held = place;
    for (;;) {
      const slot = await slots.take(signal);
      if (slot === null) return;
      const over = AbortSignal.any([signal, slot.signal]);
      try {
        // Handed over is neither lost nor ended: the reader keeps thinking that it is live.
        const quiet = { ...hooks, onLink: (link: Parameters<NonNullable<typeof hooks.onLink>>[0]) => !over.aborted && hooks.onLink?.(link) };
        for await (const frame of read(held, over, quiet)) {
          held = { ...held, after: frame.id };
          yield frame;
        }
      } finally {
        slot.give();
      }
      if (!slot.signal.aborted || signal.aborted) return;
    }
  };
}

export const source: Read = taking(new Slots(), follow);
