// The page that asks several models at once and shows their answers side by side, turn after turn.
import { useState } from "react";
import { useNavigate, useParams } from "react-router";
import { newKey } from "../../client/key";
import { breakout, cancel, rate } from "../../client/conversations";
import { Lightbox, type Framed } from "../../components/conversation/Lightbox";
import { altOf } from "../../components/conversation/MessageBubble";
import { desk, NEW } from "../../state/desk";
import type { Answer, Turn } from "../../state/turn";
import { FirstVisit } from "./FirstVisit";
import { PromptBox, type Draft } from "./PromptBox";
import { TurnView } from "./TurnView";
import { useConversation } from "./useConversation";
import { useKept } from "../../components/ui/useKept";

export function ComparePage() {
  const { id } = useParams();
  const go = useNavigate();
  const shown = useConversation(id);
  const [models, setModels] = useKept<string[]>("models", []);
  const [blind, setBlind] = useKept<boolean>("blind", false);
  const [text, setText] = useState("");
  const [branching, setBranching] = useState<Turn | null>(null);
  const [best, setBest] = useState<Record<string, string>>({});
  const [framed, setFramed] = useState<Framed | null>(null);
  const [said, setSaid] = useState<string | null>(null);
  const live = shown.live;

  const of = (turn: Turn) => `/conversations/${encodeURIComponent(turn.conversationId)}`;
  const at = (turn: Turn) => `${of(turn)}/turns/${encodeURIComponent(turn.turnId)}`;

  async function attempt(work: () => Promise<unknown>) {
    setSaid(null);
    try {
      await work();
    } catch (error) {
      setSaid(error instanceof Error ? error.message : "That did not work; try again.");
    }
  }

  async function send(draft: Draft) {
    setSaid(null);
    setText("");
    // The address follows the conversation as soon as it has one, so that a reload finds it.
    const onBegun = (begun: string) => void (id ?? go(`/c/${begun}`, { replace: true }));
    const branch = branching;
    setBranching(null);
    const last = branch
      ? await branchOff(branch, draft)
      : await shown.ask("/compare-stream", { ...draft, ...(id ? { conversation_id: id } : {}) }, { onBegun });
    // Refused before it began: nothing is lost.
    if (last.turn.turnId === "") setText(draft.input_data);
  }

  /** An edited prompt begins a conversation of its own, which shares what came before. */
  function branchOff(turn: Turn, draft: Draft) {
    return desk.ask(NEW, `${at(turn)}/branch`, draft, newKey(), {
      onBegun: (begun) => void go(`/c/${begun}`),
    });
  }

  function actions(turn: Turn) {
    return {
      onStop: (answer: Answer) =>
        void attempt(() => cancel(turn.conversationId, { response_ids: [answer.responseId] })),
      onRetry: (answer: Answer) => void shown.ask(`${at(turn)}/retry`, { response_id: answer.responseId }, { onto: turn }),
      onBreakOut: (answer: Answer) =>
        void attempt(async () => {
          const { conversation_id } = await breakout(
            turn.conversationId,
            answer.model,
            turn.turnId,
            newKey(),
          );
          setModels([answer.model]);
          await go(`/c/${conversation_id}`);
        }),
      onBest: (answer: Answer) =>
        void attempt(async () => {
          await rate(turn.conversationId, turn.turnId, { best_response_id: answer.responseId });
          setBest((known) => ({ ...known, [turn.turnId]: answer.responseId }));
        }),
      onOpen: (_: Answer, medium: { mediaId: string }) =>
        setFramed({ pictures: picturesOf(turn), at: medium.mediaId }),
    };
  }

  const stop = () => {
    const running = live?.turn.conversationId;
    if (running) void attempt(() => cancel(running));
  };
  const alarm = said ?? live?.problem ?? shown.problem;
  return (
    <div className="compare">
      {shown.title && <h1 dir="auto">{shown.title}</h1>}
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
          best={best[turn.turnId] ?? null}
          blind={blind}
          busy={shown.running}
          actions={actions(turn)}
          onEdit={() => {
            setText(turn.prompt);
            setBranching(turn);
            setModels(turn.answers.map((answer) => answer.model));
          }}
          onAdd={(added) => void shown.ask(`${at(turn)}/models`, { models: added }, { onto: turn })}
          onStopAll={stop}
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
        models={models}
        onModels={setModels}
        onSend={(draft) => void send(draft)}
        running={shown.running}
        onStop={stop}
        text={text}
        onText={setText}
      />
      <label className="blind">
        <input type="checkbox" checked={blind} onChange={(event) => setBlind(event.target.checked)} /> Hide the models’
        names until I have chosen the best answer
      </label>
      {framed && <Lightbox framed={framed} onClose={() => setFramed(null)} />}
    </div>
  );
}

function picturesOf(turn: Turn): Framed["pictures"] {
  return turn.answers.flatMap((answer) =>
    answer.media.flatMap((medium) =>
      medium.type === "image" && medium.attachment
        ? [{ id: medium.mediaId, attachment: medium.attachment, model: answer.model, alt: altOf(turn.prompt) }]
        : [],
    ),
  );
}
