// A stream of frames that survives drops: every later frame once, in order, from the last id that was held.
import { createParser } from "eventsource-parser";
import type { PlacedEvent, StreamEvent } from "../types/api";
import { Backoff } from "./backoff";
import { ApiError, refusal, UnreachableError } from "./errors";
import { send, type Asked } from "./http";

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

/** Frames of a prompt that is sent now. The key makes it safe to send again what may or may not have arrived. */
export function ask(
  path: string,
  body: unknown,
  key: string,
  signal: AbortSignal,
  hooks: StreamHooks = {},
): AsyncGenerator<PlacedEvent, void, undefined> {
  const first: Asked = { method: "POST", body, headers: { "Idempotency-Key": key }, signal };
  return resumed(null, { path, asked: first }, signal, hooks);
}

/** Frames of a conversation that is there already. */
export function follow(
  place: Follow,
  signal: AbortSignal,
  hooks: StreamHooks = {},
): AsyncGenerator<PlacedEvent, void, undefined> {
  return resumed(place, null, signal, hooks);
}

interface First {
  path: string;
  asked: Asked;
}

async function* resumed(
  place: Follow | null,
  first: First | null,
  signal: AbortSignal,
  hooks: StreamHooks,
): AsyncGenerator<PlacedEvent, void, undefined> {
  const backoff = new Backoff(hooks.random);
  const link = (now: Link) => hooks.onLink?.(now);
  const left = () => signal.aborted;
  let held = place;
  while (!left()) {
    let atLeastMs = 0;
    link("connecting");
    try {
      const response: Response =
        first && !held?.after ? await send(first.path, first.asked) : await open(held, signal);
      if (response.status === 204) break;
      if (response.status === 429 || response.status >= 500) {
        atLeastMs = ((await refusal(response)).retryAfterS ?? 0) * 1000;
      } else if (!response.ok || !response.body) {
        throw await refusal(response);
      } else {
        link("live");
        for await (const frame of framesOf(response.body)) {
          if (frame.type === "keepalive") continue;
          backoff.reset();
          if (frame.type === "gap") {
            // The server closes after it; what it says to resume from lies behind all that was shown.
            if (frame.reason === "retention") {
              throw new ApiError(410, "gap", "Part of this conversation is no longer in the log.", null, frame);
            }
            held = { ...held, conversationId: frame.conversation_id, after: frame.resume_from };
            continue;
          }
          held = {
            ...held,
            conversationId: frame.conversation_id,
            ...(first && frame.turn_id ? { turnId: frame.turn_id } : {}),
            after: frame.id,
          };
          yield frame;
          if (frame.type === "complete" && (first !== null || place?.turnId !== undefined)) {
            link("ended");
            return;
          }
        }
      }
    } catch (error) {
      if (left()) break;
      if (error instanceof ApiError) throw error;
      if (!(error instanceof UnreachableError) && !(error instanceof TypeError)) throw error;
    }
    link("waiting");
    await pause(backoff.next(atLeastMs), signal);
  }
  link("ended");
}

function open(place: Follow | null, signal: AbortSignal): Promise<Response> {
  if (!place) throw new UnreachableError();
  const query = new URLSearchParams({ errors: "frame" });
  if (place.turnId) query.set("turn", place.turnId);
  if (place.after) query.set("after", place.after);
  else if (place.snapshot) query.set("snapshot", "true");
  const path = `/conversations/${encodeURIComponent(place.conversationId)}/events?${query.toString()}`;
  return send(path, { signal, headers: { Accept: "text/event-stream" } });
}

/** The frames in a body of server-sent events; what is no frame of ours is passed over. */
export async function* framesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent, void, undefined> {
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
