// How the tab that leads reads turns for all tabs: by the stream of all conversations, and each by its own until they meet.
import { mine } from "../client/mine";
import { follow, type Follow, type Link, type Read } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { jointAfter, missed, ofMine, ofTurn, type Step } from "./join";
import { Mine } from "./mine";
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
        const onLink = (link: Link) => !over.aborted && hooks.onLink?.(link);
        for await (const frame of read(held, over, { ...hooks, onLink })) {
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

/** Reads a turn like `read`, over the shared stream alone as soon as that has all of it. */
export function sharing(shared: Mine, read: Read): Read {
  return async function* (place, signal, hooks = {}) {
    let joint = jointAfter(place.after);
    let own: AbortController | null = null;
    let wake: () => void = () => undefined;
    const turn = { over: false, failure: null as Error | null };
    const inbox: PlacedEvent[] = [];
    const take = (step: Step) => {
      joint = step.joint;
      inbox.push(...step.shown);
      if (joint.joined && own) {
        own.abort();
        own = null;
        hooks.onLink?.(shared.link);
      }
      wake();
    };
    const readOwn = async (mineAlone: AbortController) => {
      const current = () => own === mineAlone;
      const onLink = (link: Link) => current() && link !== "ended" && hooks.onLink?.(link);
      const from = joint.held === null ? place : { ...place, after: joint.held };
      try {
        for await (const frame of read(from, AbortSignal.any([signal, mineAlone.signal]), { ...hooks, onLink })) {
          if (!current()) return;
          take(ofTurn(joint, frame));
        }
        if (current()) turn.over = true;
      } catch (error) {
        if (current()) turn.failure = error instanceof Error ? error : new Error("The stream broke off.");
      }
      wake();
    };
    const leave = shared.tell({
      conversationId: place.conversationId,
      hear: (heard) => {
        if (heard !== null) {
          if (concerns(heard, place)) take(ofMine(joint, heard));
          return;
        }
        joint = missed(joint);
        wake();
      },
      onLink: (link) => joint.joined && hooks.onLink?.(link),
    });
    const left = () => signal.aborted;
    const stop = () => wake();
    signal.addEventListener("abort", stop);
    try {
      let last: PlacedEvent | undefined;
      while (!left()) {
        last = inbox.at(-1) ?? last;
        yield* inbox.splice(0);
        if (inbox.length > 0 || left()) continue;
        if (turn.failure !== null) throw turn.failure;
        if (turn.over || (joint.joined && ends(last, place))) break;
        if (!joint.joined && own === null) {
          own = new AbortController();
          void readOwn(own);
        }
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      signal.removeEventListener("abort", stop);
      leave();
      own?.abort();
    }
    if (!signal.aborted) hooks.onLink?.("ended");
  };
}

/** Whether the turn's own stream brings the frame too. */
const concerns = (frame: PlacedEvent, place: Follow): boolean =>
  frame.conversation_id === place.conversationId &&
  (!place.turnId || !frame.turn_id || frame.turn_id === place.turnId);

const ends = (last: PlacedEvent | undefined, place: Follow): boolean =>
  last?.type === "complete" && last.turn_id === place.turnId;

export const source: Read = sharing(new Mine(mine), taking(new Slots(), follow));
