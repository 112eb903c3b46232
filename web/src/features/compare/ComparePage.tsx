// The page that asks several models at once and shows their answers side by side, turn after turn.
import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { newKey } from "../../client/key";
import { breakout, cancel, rate } from "../../client/conversations";
import { Lightbox, type Framed } from "../../components/conversation/Lightbox";
import { altOf } from "../../components/conversation/MessageBubble";
import { desk, NEW } from "../../state/desk";
import { lastModels } from "../../state/stored";
import type { Answer, Turn } from "../../state/turn";
import { ExportDialog } from "../export/ExportDialog";
import { ShareDialog } from "../share/ShareDialog";
import { remove } from "../../client/media";
import type { Rating } from "../../types/conversation";
import { useLatest } from "../../components/ui/useLatest";
import type { AnswerActions } from "./AnswerCard";
import { inWords } from "./refusals";
import { useDraft } from "./useDraft";
import { FirstVisit } from "./FirstVisit";
import { PromptBox, type Draft } from "./PromptBox";
import { TurnView } from "./TurnView";
import { useConversation } from "./useConversation";
import { problemOf } from "../../components/ui/problem";
import { useKept } from "../../components/ui/useKept";
import { useTitle } from "../../components/ui/useTitle";
import { MOST_MODELS } from "./ModelPicker";

export function ComparePage() {
  const { id } = useParams();
  const go = useNavigate();
  const shown = useConversation(id);
  const [kept, keep] = useKept<string[]>("models", []);
  // A follow-up goes to those who answered last, until others are chosen.
  const [chosen, setChosen] = useState<{ for: string | undefined; models: string[] } | null>(null);
  const names = lastModels(shown.turns).join("\n");
  // The same from frame to frame while answers stream.
  const last = useMemo(() => (names === "" ? [] : names.split("\n").slice(0, MOST_MODELS)), [names]);
  const models = chosen && chosen.for === id ? chosen.models : last.length > 0 ? last : kept;
  const setModels = (models: string[]) => {
    setChosen({ for: id, models });
    keep(models);
  };
  const [blind, setBlind] = useKept<boolean>("blind", false);
  const [text, setText] = useDraft(id ?? "new");
  const [branching, setBranching] = useState<Turn | null>(null);
  const [rated, setRated] = useState<Record<string, Rating>>({});
  const [framed, setFramed] = useState<Framed | null>(null);
  const [sharing, setSharing] = useState(false);
  const [exporting, setExporting] = useState(false);
  const [said, setSaid] = useState<string | null>(null);
  const queries = useQueryClient();
  const live = shown.live;

  const of = (turn: Turn) => `/conversations/${encodeURIComponent(turn.conversationId)}`;
  const at = (turn: Turn) => `${of(turn)}/turns/${encodeURIComponent(turn.turnId)}`;

  async function attempt(work: () => Promise<unknown>) {
    setSaid(null);
    try {
      await work();
    } catch (error) {
      setSaid(problemOf(error));
    }
  }

  /** False where it was refused before it began: nothing is lost. */
  async function send(draft: Draft): Promise<boolean> {
    setSaid(null);
    setText("");
    // The address follows the conversation as soon as it has one, so that a reload finds it.
    const onBegun = (begun: string) => void (id ?? go(`/c/${begun}`, { replace: true }));
    const branch = branching;
    setBranching(null);
    const last = branch
      ? await branchOff(branch, draft)
      : await shown.ask("/compare-stream", { ...draft, ...(id ? { conversation_id: id } : {}) }, { onBegun });
    if (last.turn.turnId !== "") return true;
    setText(draft.input_data);
    setBranching(branch);
    if (last.problem) setSaid(inWords(last.problem, last.code, last.told));
    return false;
  }

  /** An edited prompt begins a conversation of its own, which shares what came before. */
  function branchOff(turn: Turn, draft: Draft) {
    return desk.ask(NEW, `${at(turn)}/branch`, draft, newKey(), {
      onBegun: (begun) => void go(`/c/${begun}`),
    });
  }

  const turnOf = (answer: Answer) =>
    shown.turns.find((turn) => turn.answers.some((one) => one.responseId === answer.responseId));

  function onTurn(answer: Answer, work: (turn: Turn) => Promise<unknown>) {
    const turn = turnOf(answer);
    if (turn) void attempt(() => work(turn));
  }

  const ratingOf = (turnId: string) => rated[turnId] ?? shown.ratings.get(turnId) ?? null;

  async function judge(turn: Turn, change: (known: Rating) => Rating) {
    const rating = change(ratingOf(turn.turnId) ?? {});
    await rate(turn.conversationId, turn.turnId, rating);
    setRated((known) => ({ ...known, [turn.turnId]: rating }));
  }

  const actions = useLatest<AnswerActions>({
    onStop: (answer) => onTurn(answer, (turn) => cancel(turn.conversationId, { response_ids: [answer.responseId] })),
    onRetry: (answer) =>
      onTurn(answer, (turn) => shown.ask(`${at(turn)}/retry`, { response_id: answer.responseId }, { onto: turn })),
    onBreakOut: (answer) =>
      onTurn(answer, async (turn) => {
        const { conversation_id } = await breakout(turn.conversationId, answer.model, turn.turnId, newKey());
        await go(`/c/${conversation_id}`);
      }),
    onBest: (answer) =>
      onTurn(answer, (turn) =>
        judge(turn, (known) => ({
          ...known,
          best_response_id: known.best_response_id === answer.responseId ? null : answer.responseId,
        })),
      ),
    onThumb: (answer, thumb) =>
      onTurn(answer, (turn) =>
        judge(turn, (known) => {
          const { [answer.responseId]: before, ...others } = known.thumbs ?? {};
          return { ...known, thumbs: before === thumb ? others : { ...others, [answer.responseId]: thumb } };
        }),
      ),
    onOpen: (answer, medium) => {
      const turn = turnOf(answer);
      const called = blind && turn && !ratingOf(turn.turnId)?.best_response_id ? () => "a model" : modelOf;
      if (turn) setFramed({ pictures: picturesOf(turn, called), at: medium.mediaId });
    },
    onDelete: async (answer, medium) => {
      await remove(medium.mediaId);
      const conversationId = turnOf(answer)?.conversationId;
      if (conversationId) desk.forget(conversationId);
      await queries.invalidateQueries({ queryKey: ["conversation", conversationId] });
      await queries.invalidateQueries({ queryKey: ["gallery"] });
    },
  });
  const ofTurn = useLatest({
    onEdit: (turn: Turn) => {
      setText(turn.prompt);
      setBranching(turn);
      setModels(turn.answers.map((answer) => answer.model));
    },
    onAdd: (turn: Turn, added: string[]) => void shown.ask(`${at(turn)}/models`, { models: added }, { onto: turn }),
    onNote: (turn: Turn, note: string | null) => void attempt(() => judge(turn, (known) => ({ ...known, note }))),
    onStopAll: () => stop(),
  });

  const ofBox = useLatest({ onModels: setModels, onSend: send, onText: setText, onStop: () => stop() });

  const stop = () => {
    const running = live?.turn.conversationId;
    if (running) void attempt(() => cancel(running));
  };
  useTitle(shown.title ?? (id ? null : "New comparison"));
  if (shown.missing) {
    return (
      <div className="page">
        <h1>There is no such conversation.</h1>
        <p role="alert">
          It may have been deleted, or belong to somebody else. Begin a <Link to="/">new comparison</Link>, or look for
          it in the <Link to="/search">search</Link>.
        </p>
      </div>
    );
  }
  const alarm = said ?? (live?.problem ? inWords(live.problem, live.code, live.told) : shown.problem);
  return (
    <div className="compare">
      {shown.title && (
        <header className="title">
          <h1 dir="auto">{shown.title}</h1>
          {id && (
            <div className="actions">
              <button type="button" onClick={() => setExporting(true)}>
                Export
              </button>
              <button type="button" onClick={() => setSharing(true)}>
                Share
              </button>
            </div>
          )}
        </header>
      )}
      {!id && shown.turns.length === 0 && (
        <FirstVisit
          onTry={(prompt, names) => {
            setModels(names);
            setText(prompt);
          }}
        />
      )}
      {shown.loading && <p>Loading the conversation…</p>}
      {shown.turns.map((turn) => (
        <TurnView
          key={turn.turnId}
          turn={turn}
          rating={ratingOf(turn.turnId)}
          sent={shown.sent.get(turn.turnId)}
          blind={blind}
          busy={shown.running}
          actions={actions}
          {...ofTurn}
        />
      ))}
      {live?.link === "waiting" && (
        <p role="status" className="banner">
          The connection was lost. The models go on; this page goes on as soon as it is back.
        </p>
      )}
      {alarm && (
        <p role="alert" className="failure">
          {alarm}
        </p>
      )}
      {branching && (
        <p role="status" className="banner">
          This edits the prompt above: the answers go into a new conversation, and this one stays as it is.{" "}
          <button
            type="button"
            onClick={() => {
              setBranching(null);
              setText("");
            }}
          >
            Go on here instead
          </button>
        </p>
      )}
      <PromptBox
        conversationId={branching ? undefined : id}
        models={models}
        running={shown.running}
        text={text}
        {...ofBox}
      />
      <label className="blind">
        <input type="checkbox" checked={blind} onChange={(event) => setBlind(event.target.checked)} /> Hide the models’
        names until I have chosen the best answer
      </label>
      {sharing && id && <ShareDialog conversationId={id} onClose={() => setSharing(false)} />}
      {exporting && id && <ExportDialog conversationId={id} onClose={() => setExporting(false)} />}
      {framed && <Lightbox framed={framed} onClose={() => setFramed(null)} />}
    </div>
  );
}

const modelOf = (answer: Answer): string => answer.model;

function picturesOf(turn: Turn, called: (answer: Answer) => string): Framed["pictures"] {
  return turn.answers.flatMap((answer) =>
    answer.media.flatMap((medium) =>
      medium.type === "image" && medium.attachment
        ? [{ id: medium.mediaId, attachment: medium.attachment, model: called(answer), alt: altOf(turn.prompt) }]
        : [],
    ),
  );
}
