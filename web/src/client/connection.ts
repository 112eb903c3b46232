// Connections to a stream, one after the other, and the frames that they bring; made anew where one broke.
import { createParser } from "eventsource-parser";
import type { PlacedEvent, StreamEvent } from "../types/api";
import { Backoff } from "./backoff";
import { ApiError, refusal, UnreachableError } from "./errors";
import { watch } from "./silence";

export type Link = "connecting" | "live" | "waiting" | "ended";

export interface StreamHooks {
  onLink?: (link: Link) => void;
  random?: () => number;
  /** For a page of another origin, which has no cookie here. */
  elsewhere?: Elsewhere;
}

export interface Elsewhere {
  /** Of the API, as in `https://polylogue.example/api/v1`. */
  base: string;
  /** A new one: it opens one stream, once, so every connection asks for its own. */
  ticket: () => Promise<string>;
}

/** A frame, and the id of the stream that brought it: of a conversation's own stream it is the frame's. */
export interface Arrived {
  readonly frame: PlacedEvent;
  readonly at: string | undefined;
}

export interface Connecting {
  connect: (signal: AbortSignal) => Promise<Response>;
  /** Asked where the server has ended an answer by itself: whether that was the end of all. */
  over?: () => boolean;
}

/** What comes over one connection after the other, until the server says that nothing is left. */
export async function* connected(
  { connect, over = () => false }: Connecting,
  signal: AbortSignal,
  hooks: StreamHooks,
): AsyncGenerator<Arrived, void, undefined> {
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
        for await (const arrived of framesOf(response.body, watched.heard)) {
          backoff.reset();
          yield arrived;
        }
        // A connection that breaks is an error; an answer that ends is the server's word.
        if (over()) return;
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

/** The frames in a body of server-sent events; what is no frame of ours is passed over. */
async function* framesOf(
  body: ReadableStream<Uint8Array>,
  heard: () => void,
): AsyncGenerator<Arrived, void, undefined> {
  const arrived: Arrived[] = [];
  const parser = createParser({
    onEvent: ({ id, data }) => {
      const frame: unknown = JSON.parse(data);
      if (isFrame(frame) && frame.type !== "keepalive") arrived.push({ frame, at: id });
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
    if (signal.aborted) over();
  });
}
