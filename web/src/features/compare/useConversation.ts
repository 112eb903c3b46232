// A conversation on the page: its stored turns, and the one that runs now in their place.
import { useQuery, useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import { conversation, type Page } from "../../client/conversations";
import { againMs } from "../../components/ui/problem";
import { newKey } from "../../client/key";
import { ApiError } from "../../client/errors";
import { browser } from "../../state/browser";
import { desk, NEW } from "../../state/desk";
import type { Live } from "../../state/live";
import { fromStored, lookAgainMs, merged, sentAlong, toFollow, type Sent } from "../../state/stored";
import type { Rating } from "../../types/conversation";
import type { Turn } from "../../state/turn";

export interface Shown {
  title: string | null;
  turns: readonly Turn[];
  /** By turn, as they are stored. */
  ratings: ReadonlyMap<string, Rating>;
  sent: ReadonlyMap<string, Sent>;
  live: Live | null;
  running: boolean;
  loading: boolean;
  /** Why the stored conversation cannot be shown. */
  problem: string | null;
  /** There is none, or it is deleted, or somebody else's. */
  missing: boolean;
  /** Sends a prompt, or a further round of a turn; shown at once. */
  ask: (path: string, body: unknown, options?: { onto?: Turn; onBegun?: (id: string) => void }) => Promise<Live>;
}

const never = () => () => undefined;

export function useConversation(id: string | undefined): Shown {
  const queries = useQueryClient();
  const stored = useQuery({
    queryKey: ["conversation", id],
    queryFn: () => conversation(id ?? ""),
    enabled: id !== undefined,
    // The tables are behind the log by a moment; what has just begun or ended is found by looking again.
    refetchInterval: ({ state }) => againMs(state.error) || lookAgainMs(state.data, state.dataUpdateCount),
    retry: (count, error) => !(error instanceof ApiError && error.status < 500) && count < 5,
  });
  const read = useSyncExternalStore(desk.turns.subscribe, desk.turns.get)[id ?? NEW];
  const live = useSyncExternalStore(read?.drawn.subscribe ?? never, read?.drawn.get ?? (() => null));
  const turns = useMemo(
    () => (stored.data?.turns ?? []).map((turn) => fromStored(turn, stored.data?.conversation_id ?? "")),
    [stored.data],
  );

  const shown = useMemo(() => merged(turns, live?.turn ?? null), [turns, live]);
  const ratings = useMemo(
    () => new Map((stored.data?.turns ?? []).flatMap((turn) => (turn.rating ? [[turn.turn_id, turn.rating]] : []))),
    [stored.data],
  );

  const sent = useMemo(() => sentAlong(stored.data), [stored.data]);

  // A reload or another tab: the turn that runs is read from its start, by which nothing of it is missed.
  const unfinished = toFollow(turns)?.turnId;
  const reading = live !== null && live.link !== "ended";
  useEffect(() => {
    if (!id || !unfinished || reading) return;
    void desk.follow(id, unfinished).then(() => {
      void queries.invalidateQueries({ queryKey: ["conversations"] });
      return queries.invalidateQueries({ queryKey: ["conversation", id] });
    });
  }, [id, unfinished, reading, queries]);

  // A new one is in the list as soon as the tables have its title, not when its last model has ended.
  const title = stored.data?.title;
  useEffect(() => {
    const listed = queries.getQueryData<InfiniteData<Page>>(["conversations"]);
    if (!listed || title === undefined) return;
    if (listed.pages.some((page) => page.conversations.some((one) => one.conversation_id === id))) return;
    void queries.invalidateQueries({ queryKey: ["conversations"] });
  }, [id, title, queries]);

  // A turn that was begun in another tab is shown here too.
  useEffect(
    () =>
      browser().onBegan((conversationId, turnId) => {
        void queries.invalidateQueries({ queryKey: ["conversations"] });
        if (conversationId !== id) return;
        void desk
          .follow(conversationId, turnId, true)
          .then(() => queries.invalidateQueries({ queryKey: ["conversation", id] }));
      }),
    [id, queries],
  );

  async function ask(path: string, body: unknown, options: Parameters<Shown["ask"]>[2] = {}): Promise<Live> {
    const last = await desk.ask(id ?? NEW, path, body, newKey(), options);
    await queries.invalidateQueries({ queryKey: ["conversation", last.turn.conversationId] });
    void queries.invalidateQueries({ queryKey: ["conversations"] });
    return last;
  }

  return {
    title: stored.data?.title ?? null,
    turns: shown,
    ratings,
    sent,
    live,
    running: reading,
    loading: stored.isLoading,
    problem: stored.error?.message ?? null,
    missing: stored.error instanceof ApiError && stored.error.status === 404 && live === null,
    ask,
  };
}
