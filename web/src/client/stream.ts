// A stream of frames that survives drops: every later frame once, in order, from the last id that was held.
import { createParser } from "eventsource-parser";
import type { PlacedEvent, StreamEvent } from "../types/api";
import { Backoff } from "./backoff";
import { ApiError, refusal, UnreachableError } from "./errors";
import { send, type Asked } from "./http";
import { watch } from "./silence";

export type Link = "connecting" | "live" | "waiting" | "ended";

export interface Follow {
  conversationId: string;
  /** Ends with this turn; without it the stream stays open for later turns. */
  turnId?: string;
  /** The last id that is held. */
  after?: string;
  /** Begin with the state so far instead of every frame. */
  snapshot?: boolean;
}

export interface StreamHooks {
  onLink?: (link: Link) => void;
  random?: () => number;
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
  for await (const frame of connected((over) => send(path, { ...asked, signal: over }), signal, hooks)) {
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

/** Frames of a conversation that is there already. */
export async function* follow(
  place: Follow,
  signal: AbortSignal,
  hooks: StreamHooks = {},
): AsyncGenerator<PlacedEvent, void, undefined> {
  let held = place;
  for await (const frame of connected((over) => open(held, over), signal, hooks)) {
    if (frame.type === "gap") {
      // The server closes after it; what it says to resume from lies behind all that was shown.
      if (frame.reason === "retention") {
        throw new ApiError(410, "gap", "Part of this conversation is no longer in the log.", null, frame);
      }
      held = { ...held, after: frame.resume_from };
      continue;
    }
    held = { ...held, after: frame.id };
    yield frame;
    if (frame.type === "complete" && place.turnId !== undefined) break;
  }
  hooks.onLink?.("ended");
}

/** Frames of one connection after the other, until the server says that nothing is left. */
async function* connected(
  connect: (signal: AbortSignal) => Promise<Response>,
  signal: AbortSignal,
  hooks: StreamHooks,
): AsyncGenerator<PlacedEvent, void, undefined> {
  const backoff = new Backoff(hooks.random);
  const link = (now: Link) => hooks.onLink?.(now);
  const left = () => signal.aborted;
  while (!left()) {
    let atLeastMs = 0;
    link("connecting");
    const watched = watch(signal);
    try {
      const response = await connect(watched.signal);
      if (response.status === 204) return;
      if (response.status === 429 || response.status >= 500) {
        const refused = await refusal(response);
        // A quota that is reached is no crowd that thins out: the reader is told.
        if (refused.code === "quota_exceeded") throw refused;
        atLeastMs = (refused.retryAfterS ?? 0) * 1000;
      } else if (!response.ok || !response.body) {
        throw await refusal(response);
      } else {
        link("live");
        for await (const frame of framesOf(response.body, watched.heard)) {
          if (frame.type === "keepalive") continue;
          backoff.reset();
          yield frame;
        }
      }
    } catch (error) {
      if (left()) return;
      if (error instanceof ApiError) throw error;
      if (!(error instanceof UnreachableError) && !(error instanceof TypeError) && !watched.dead()) throw error;
    } finally {
      watched.done();
    }
    link("waiting");
    await pause(backoff.next(atLeastMs), signal);
  }
}

function open(place: Follow, signal: AbortSignal): Promise<Response> {
  const query = new URLSearchParams({ errors: "frame" });
  if (place.turnId) query.set("turn", place.turnId);
  if (place.after) query.set("after", place.after);
  else if (place.snapshot) query.set("snapshot", "true");
  const path = `/conversations/${encodeURIComponent(place.conversationId)}/events?${query.toString()}`;
  return send(path, { signal, headers: { Accept: "text/event-stream" } });
}

/** The frames in a body of server-sent events; what is no frame of ours is passed over. */
export async function* framesOf(
  body: ReadableStream<Uint8Array>,
  heard: () => void = () => undefined,
): AsyncGenerator<StreamEvent, void, undefined> {
  const arrived: StreamEvent[] = [];
  const parser = createParser({
    onEvent: ({ data }) => {
      const frame: unknown = JSON.parse(data);
      if (isFrame(frame)) arrived.push(frame);
    },
  });
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      parser.feed(decoder.decode(value, { stream: true }));
      yield* arrived.splice(0);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function isFrame(value: unknown): value is StreamEvent {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** Waits, and no longer than until the network is said to be back. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", over);
      globalThis.removeEventListener("online", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener("abort", over);
    globalThis.addEventListener("online", over);
  });
}
