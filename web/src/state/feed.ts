// Streams shared by all tabs of the browser: one tab reads, all hear it, and each gets every frame once and in order.
import { ApiError } from "../client/errors";
import { isAfter } from "../client/place";
import type { Follow, Link, Read, StreamHooks } from "../client/stream";
import type { PlacedEvent } from "../types/api";
import { Channels, type Refused } from "./channels";

/** What tabs say to each other. */
export type Message =
  | { kind: "want"; tab: string; place: Follow }
  | { kind: "leave"; tab: string; place: Follow }
  /** A tab leads from now on; `term` names this time of it. */
  | { kind: "lead"; term: string }
  /** Whether the tab that leads is awake. */
  | { kind: "ping" }
  | { kind: "pong"; term: string }
  | { kind: "link"; key: string; link: Link }
  /** What lies directly behind `after`; null: from the start of the turn. */
  | { kind: "frames"; key: string; after: string | null; frames: PlacedEvent[] }
  | { kind: "end"; key: string; after: string | null; refused: Refused | null }
  | { kind: "began"; conversationId: string; turnId: string };

/** Reaches all other tabs. */
export interface Port {
  post: (message: Message) => void;
  listen: (listener: (message: Message) => void) => void;
}

/** How long a tab that reads something waits for a word of the one that leads: before it asks, and then for the answer. */
export const PATIENCE_MS = 3_000;
const LOOK_EVERY_MS = 1_000;

export interface FeedOptions {
  /** Makes this tab the one that leads, though another says that it does. */
  takeOver: () => void;
  now?: () => number;
  random?: () => number;
}

export const keyOf = (place: Follow): string => `${place.conversationId} ${place.turnId ?? ""}`;

interface Wish {
  readonly place: Follow;
  readonly hooks: StreamHooks;
  readonly inbox: PlacedEvent[];
  held: string | undefined;
  /** Something was missed, and it is asked for already. */
  behind: boolean;
  over: boolean;
  refused: Refused | null;
  wake: () => void;
}

export class Feed {
  readonly #wishes = new Set<Wish>();
  readonly #began = new Set<(conversationId: string, turnId: string) => void>();
  #channels: Channels | null = null;
  /** Under which lead the wishes of this tab were told last. */
  #term = "";
  #terms = 0;
  /** When the tab that leads was last heard, and when it was asked whether it is awake. */
  #heardAt = 0;
  #askedAt: number | null = null;
  #lookedAt = 0;
  #watch: ReturnType<typeof setInterval> | null = null;

  constructor(
    private readonly tab: string,
    private readonly port: Port,
    private readonly source: Read,
    private readonly soon: (work: () => void) => void,
    private readonly options: FeedOptions,
  ) {
    port.listen((message) => this.#hear(message));
  }

  /** From now on this tab reads for all, until the signal. */
  lead(signal: AbortSignal): void {
    const channels = new Channels(this.tab, (message, others) => this.#say(message, others), this.source, this.soon);
    this.#channels = channels;
    signal.addEventListener("abort", () => {
      channels.close();
      if (this.#channels !== channels) return;
      this.#channels = null;
      // Who took the lead may have said so while this tab heard nothing.
      this.again();
    });
    this.#terms += 1;
    this.#say({ kind: "lead", term: `${this.tab} ${this.#terms}` });
  }

  /** Asks anew for what is read here, from where it stands. */
  again(): void {
    for (const wish of this.#wishes) this.#want(wish);
  }

  /** Tells the other tabs of a turn that was begun here. */
  tell(conversationId: string, turnId: string): void {
    this.port.post({ kind: "began", conversationId, turnId });
  }

  /** Calls when a turn was begun in another tab. */
  onBegan(listener: (conversationId: string, turnId: string) => void): () => void {
    this.#began.add(listener);
    return () => this.#began.delete(listener);
  }

  readonly follow: Read = (place, signal, hooks = {}) => this.#follow(place, signal, hooks);

  async *#follow(
    place: Follow,
    signal: AbortSignal,
    hooks: StreamHooks,
  ): AsyncGenerator<PlacedEvent, void, undefined> {
    const wish: Wish = {
      place,
      hooks,
      inbox: [],
      held: place.after,
      behind: false,
      over: false,
      refused: null,
      wake: () => undefined,
    };
    this.#wishes.add(wish);
    this.#look();
    const leave = () => wish.wake();
    signal.addEventListener("abort", leave);
    try {
      this.#want(wish);
      const left = () => signal.aborted;
      while (!left()) {
        yield* wish.inbox.splice(0);
        // More may have come while the reader had what was there, and the end of it too.
        if (wish.inbox.length > 0 || left()) continue;
        if (wish.over) break;
        await new Promise<void>((resolve) => (wish.wake = resolve));
      }
      if (wish.refused) throw errorOf(wish.refused);
    } finally {
      signal.removeEventListener("abort", leave);
      this.#wishes.delete(wish);
      const shared = [...this.#wishes].some((other) => keyOf(other.place) === keyOf(place));
      if (!shared) this.#say({ kind: "leave", tab: this.tab, place });
    }
    hooks.onLink?.("ended");
  }

  /** While something is read here: notices when the tab that leads is asleep, and leads in its place. */
  #look(): void {
    if (this.#watch !== null) return;
    const now = this.options.now ?? Date.now;
    // Tabs that lose their leader at once do not all take over at once.
    const patienceMs = PATIENCE_MS + (this.options.random ?? Math.random)() * LOOK_EVERY_MS;
    this.#heardAt = this.#lookedAt = now();
    this.#watch = setInterval(() => {
      const slept = now() - this.#lookedAt > PATIENCE_MS;
      this.#lookedAt = now();
      if (this.#wishes.size === 0 && this.#watch !== null) {
        clearInterval(this.#watch);
        this.#watch = null;
        this.#askedAt = null;
      } else if (this.#channels !== null) {
        this.#heardAt = now();
        this.#askedAt = null;
      } else if (this.#askedAt !== null && !slept && now() - this.#askedAt > patienceMs) {
        this.#askedAt = null;
        this.#heardAt = now();
        this.options.takeOver();
      } else if (slept || (this.#askedAt === null && now() - this.#heardAt > PATIENCE_MS)) {
        // It was this tab that slept, or the other one is: an answer tells.
        this.#askedAt = now();
        this.#say({ kind: "ping" });
      }
    }, LOOK_EVERY_MS);
  }

  #want(wish: Wish): void {
    const place = wish.held ? { ...wish.place, after: wish.held } : wish.place;
    this.#say({ kind: "want", tab: this.tab, place });
  }

  /** To all tabs, this one among them. */
  #say(message: Message, others = true): void {
    if (others) this.port.post(message);
    this.#hear(message);
  }

  #hear(message: Message): void {
    switch (message.kind) {
      case "want":
        this.#channels?.want(message.tab, message.place);
        return;
      case "leave":
        this.#channels?.leave(message.tab, message.place);
        return;
      case "ping":
        if (this.#channels) this.#say({ kind: "pong", term: `${this.tab} ${this.#terms}` });
        return;
      case "pong":
      case "lead":
        this.#led();
        if (message.kind === "pong" && message.term === this.#term) return;
        this.#term = message.term;
        this.again();
        return;
      case "began":
        for (const listener of this.#began) listener(message.conversationId, message.turnId);
        return;
      default:
        this.#led();
        for (const wish of this.#wishes) {
          if (keyOf(wish.place) === message.key && !told(wish, message)) this.#want(wish);
        }
    }
  }

  #led(): void {
    this.#heardAt = (this.options.now ?? Date.now)();
    this.#askedAt = null;
  }
}

/** False where something was missed that must be asked for. */
function told(wish: Wish, message: Extract<Message, { key: string }>): boolean {
  if (message.kind === "link") {
    if (message.link !== "ended") wish.hooks.onLink?.(message.link);
  } else if (!fits(wish, message.after)) {
    if (wish.behind) return true;
    wish.behind = true;
    return false;
  } else {
    wish.behind = false;
    if (message.kind === "end") {
      wish.over = true;
      wish.refused = message.refused;
    } else {
      for (const frame of message.frames) {
        if (!isAfter(frame.id, wish.held)) continue;
        wish.held = frame.id;
        wish.inbox.push(frame);
      }
    }
  }
  wish.wake();
  return true;
}

/** Whether nothing lies between what the wish holds and what was said. */
const fits = (wish: Wish, after: string | null): boolean =>
  after === null || (wish.held !== undefined && !isAfter(after, wish.held));

const errorOf = (refused: Refused) =>
  refused.status === 0
    ? new Error(refused.message)
    : new ApiError(refused.status, refused.code, refused.message, refused.retryAfterS, refused.body);
