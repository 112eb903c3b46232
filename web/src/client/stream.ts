// A stream of frames that survives drops: every later frame once, in order, from the last id that was held.
import type { PlacedEvent } from "../types/api";
import { connected, type Elsewhere, type StreamHooks } from "./connection";
import { ApiError } from "./errors";
import { send, type Asked } from "./http";

export type { Elsewhere, Link, StreamHooks } from "./connection";

export interface Follow {
  conversationId: string;
  /** Ends with this turn; without it the stream stays open for later turns. */
  turnId?: string;
  /** The last id that is held. */
  after?: string;
  /** Begin with the state so far instead of every frame. */
  snapshot?: boolean;
}

/** Reads a conversation from a place on; `follow` over a connection of its own, or whoever shares one. */
export type Read = (
  place: Follow,
  signal: AbortSignal,
  hooks?: StreamHooks,
) => AsyncGenerator<PlacedEvent, void, undefined>;

/**
 * Frames of a prompt that is sent now. The key makes it safe to send again what may or may not have arrived. With the
 * first frame the connection is left, and `read` goes on after it to the end of the turn.
 */
export async function* ask(
  path: string,
  body: unknown,
  key: string,
  signal: AbortSignal,
  hooks: StreamHooks = {},
  read: Read = follow,
): AsyncGenerator<PlacedEvent, void, undefined> {
  const asked: Asked = { method: "POST", body, headers: { "Idempotency-Key": key } };
  let begun: Follow | null = null;
  const connect = (over: AbortSignal) => send(path, { ...asked, signal: over });
  for await (const { frame } of connected({ connect }, signal, hooks)) {
    yield frame;
    if (frame.type === "complete") {
      hooks.onLink?.("ended");
      return;
    }
    if (!frame.turn_id) continue;
    begun = { conversationId: frame.conversation_id, turnId: frame.turn_id, after: frame.id };
    break;
  }
  if (begun) yield* read(begun, signal, hooks);
  else hooks.onLink?.("ended");
}

/** Frames of a conversation that is there already. A turn has one `complete` a round: its end is the server's to say. */
export async function* follow(
  place: Follow,
  signal: AbortSignal,
  hooks: StreamHooks = {},
): AsyncGenerator<PlacedEvent, void, undefined> {
  let held = place;
  let complete = false;
  const connecting = {
    connect: (over: AbortSignal) => open(held, over, hooks.elsewhere),
    over: () => complete && place.turnId !== undefined,
  };
  for await (const { frame } of connected(connecting, signal, hooks)) {
    if (frame.type === "gap") {
      // The server closes after it; what it says to resume from lies behind all that was shown.
      if (frame.reason === "retention") {
        throw new ApiError(410, "gap", "Part of this conversation is no longer in the log.", null, frame);
      }
      held = { ...held, after: frame.resume_from };
      complete = false;
      continue;
    }
    held = { ...held, after: frame.id };
    complete = frame.type === "complete" && frame.turn_id === place.turnId;
    yield frame;
  }
  hooks.onLink?.("ended");
}

async function open(place: Follow, signal: AbortSignal, elsewhere?: Elsewhere): Promise<Response> {
  const query = new URLSearchParams({ errors: "frame" });
  if (place.turnId) query.set("turn", place.turnId);
  if (place.after) query.set("after", place.after);
  else if (place.snapshot) query.set("snapshot", "true");
  if (elsewhere) query.set("ticket", await elsewhere.ticket());
  const path = `/conversations/${encodeURIComponent(place.conversationId)}/events?${query.toString()}`;
  const asked: Asked = { signal, headers: { Accept: "text/event-stream" } };
  return send(path, elsewhere ? { ...asked, base: elsewhere.base } : asked);
}
