// The turns that this page reads, by conversation: they go on while one looks at another page.
import { browser, type Shared } from "./browser";
import { LiveTurn, type Live } from "./live";
import { Cell, type Schedule } from "./store";
import { EMPTY, type Turn } from "./turn";

/** Under this name lies what was asked in a conversation that has no id yet. */
export const NEW = "new";

type Turns = Readonly<Record<string, LiveTurn>>;

export class Desk {
  readonly turns: Cell<Turns>;

  constructor(
    private readonly shared: () => Shared,
    private readonly schedule?: Schedule,
  ) {
    this.turns = schedule ? new Cell<Turns>({}, schedule) : new Cell<Turns>({});
  }

  /** Asks, and reads to the end of the turn; `onBegun` is told the conversation's id once it has one. */
  async ask(
    under: string,
    path: string,
    body: unknown,
    key: string,
    { onto = EMPTY, onBegun }: { onto?: Turn; onBegun?: (conversationId: string) => void } = {},
  ): Promise<Live> {
    const seed = onto.turnId === "" ? EMPTY : { ...onto, complete: false, error: null };
    const turn = this.#live(seed);
    this.#put(under, turn);
    const unsubscribe = turn.live.subscribe(() => {
      const { conversationId, turnId, cursor } = turn.live.get().turn;
      if (conversationId === "" || cursor === onto.cursor) return;
      unsubscribe();
      this.shared().tell(conversationId, turnId);
      if (under === NEW) this.#name(turn, conversationId);
      onBegun?.(conversationId);
    });
    await turn.ask(path, body, key);
    return turn.live.get();
  }

  /**
   * Reads a turn that runs already; at once over where it is read. `anew`: it, or a further round of it, has just begun,
   * so that what is read here of another turn is history.
   */
  async follow(conversationId: string, turnId: string, anew = false): Promise<void> {
    const known = this.turns.get()[conversationId]?.live.get();
    const running = known !== undefined && known.link !== "ended";
    const same = known?.turn.turnId === turnId;
    if (anew ? running && same : running || same) return;
    const turn = this.#live(EMPTY);
    this.#put(conversationId, turn);
    await turn.follow(conversationId, turnId);
  }

  /** Lets go of what was read live of a conversation, once the tables say more. */
  forget(conversationId: string): void {
    if (this.turns.get()[conversationId]?.live.get().link === "ended") this.clear(conversationId);
  }

  /** Forgets what was asked in a conversation that never came to be. */
  clear(under: string): void {
    this.turns.get()[under]?.leave();
    this.turns.set(without(this.turns.get(), under));
  }

  #live(seed: Turn): LiveTurn {
    return new LiveTurn(this.shared().read, seed, undefined, this.schedule);
  }

  #put(under: string, turn: LiveTurn): void {
    this.turns.get()[under]?.leave();
    this.turns.set({ ...this.turns.get(), [under]: turn });
  }

  #name(turn: LiveTurn, conversationId: string): void {
    if (this.turns.get()[NEW] !== turn) return;
    this.turns.set({ ...without(this.turns.get(), NEW), [conversationId]: turn });
  }
}

function without(turns: Turns, name: string): Turns {
  return Object.fromEntries(Object.entries(turns).filter(([one]) => one !== name));
}

export const desk = new Desk(browser);
