// One turn: its prompt, and the answers side by side in order of request; between them what changes their widths.
import { memo, useRef, useState, type CSSProperties, type KeyboardEvent, type PointerEvent } from "react";
import type { Rating } from "../../types/conversation";
import type { Sent } from "../../state/stored";
import { ended, type Answer, type Turn } from "../../state/turn";
import { AnswerCard, type AnswerActions } from "./AnswerCard";
import { letter, shuffled } from "./blind";
import { isNarrow, useNarrow } from "./useNarrow";
import { useSwipe } from "./useSwipe";
import { RatingNote } from "./RatingNote";
import { AddModel } from "./AddModel";
import "./compare.css";

interface Props {
  turn: Turn;
  rating: Rating | null;
  /** What was sent with the prompt. */
  sent: Sent | undefined;
  blind: boolean;
  busy: boolean;
  actions: AnswerActions;
  onEdit?: (turn: Turn) => void;
  onAdd?: (turn: Turn, models: string[]) => void;
  onNote?: (turn: Turn, note: string | null) => void;
  onStopAll?: () => void;
}

const LEAST_PX = 240;
const USUAL_PX = 352; // the design's --column
const STEP_PX = 32;

/** Drawn anew only when its own turn has changed: a conversation has many that are over. */
export const TurnView = memo(function TurnView({ turn, rating, sent, blind, busy, actions, onEdit, onAdd, onNote, onStopAll }: Props) {
  const [tab, setTab] = useState(0);
  // Where all stand side by side there are no tabs, and so no panels.
  const tabbed = useNarrow();
  const [widths, setWidths] = useState<Record<string, number>>({});
  const best = rating?.best_response_id ?? null;
  const running = turn.answers.some((answer) => !ended(answer));
  // The order stays when the names are shown, so that one finds again what one has judged.
  const answers = blind ? shuffled(turn.answers, (answer) => answer.responseId) : turn.answers;
  const hidden = blind && best === null;
  const name = (answer: Answer, n: number) => (hidden ? letter(n) : answer.model);
  const swipe = useSwipe((by) => {
    // Where all stand side by side, a finger scrolls.
    if (isNarrow()) setTab((at) => Math.min(answers.length - 1, Math.max(0, at + by)));
  });
  return (
    <section className="turn" aria-label="Turn">
      <h2 className="visually-hidden">Prompt and answers</h2>
      <div className="prompt" dir="auto">
        <p>{turn.prompt}</p>
        <div className="actions">
          {running && onStopAll && (
            <button type="button" onClick={onStopAll}>
              Stop all
            </button>
          )}
          {!running && onEdit && (
            <button type="button" onClick={() => onEdit(turn)} disabled={busy}>
              Edit and branch
            </button>
          )}
        </div>
      </div>
      {sent && <SentAlong sent={sent} />}
      {turn.error && (
        <p role="alert" className="failure">
          {turn.error}
        </p>
      )}
      <div className="tabs" role="tablist" aria-label="Models">
        {answers.map((answer, n) => (
          <button
            key={answer.responseId}
            type="button"
            role="tab"
            id={`tab-${answer.responseId}`}
            aria-selected={n === tab}
            aria-controls={`column-${answer.responseId}`}
            tabIndex={n === tab ? 0 : -1}
            onClick={() => setTab(n)}
            onKeyDown={(event) => {
              const to = event.key === "ArrowRight" ? n + 1 : event.key === "ArrowLeft" ? n - 1 : n;
              if (to === n || to < 0 || to >= answers.length) return;
              setTab(to);
              (event.currentTarget.parentElement?.children[to] as HTMLElement | undefined)?.focus();
            }}
          >
            {name(answer, n)}
          </button>
        ))}
      </div>
      <div className="answers" {...swipe}>
        {answers.map((answer, n) => (
          <div
            key={answer.responseId}
            id={`column-${answer.responseId}`}
            {...(tabbed ? { role: "tabpanel", "aria-labelledby": `tab-${answer.responseId}` } : {})}
            className={n === tab ? "column chosen" : "column"}
            style={widthOf(widths[answer.responseId])}
          >
            <AnswerCard
              answer={answer}
              prompt={turn.prompt}
              name={name(answer, n)}
              blind={hidden}
              best={best === answer.responseId}
              thumb={rating?.thumbs?.[answer.responseId] ?? null}
              busy={busy}
              actions={actions}
            />
            <Divider
              label={`Width of ${name(answer, n)}`}
              width={widths[answer.responseId] ?? USUAL_PX}
              onWidth={(px) => setWidths((known) => ({ ...known, [answer.responseId]: px }))}
            />
          </div>
        ))}
      </div>
      {!running && onNote && <RatingNote note={rating?.note ?? null} onNote={(note) => onNote(turn, note)} />}
      {!running && onAdd && (
        <AddModel known={turn.answers.map((answer) => answer.model)} disabled={busy} onAdd={(models) => onAdd(turn, models)} />
      )}
      <Finished answers={answers} name={name} />
    </section>
  );
})

const widthOf = (px: number | undefined): CSSProperties | undefined => (px ? { flex: `0 0 ${px}px` } : undefined);

function Divider({ label, width, onWidth }: { label: string; width: number; onWidth: (px: number) => void }) {
  const from = useRef<{ x: number; width: number } | null>(null);
  const column = (element: HTMLElement) => element.parentElement?.getBoundingClientRect().width ?? LEAST_PX;
  const most = () => window.innerWidth;
  const set = (px: number) => onWidth(Math.round(Math.min(most(), Math.max(LEAST_PX, px))));

  function onKeyDown(event: KeyboardEvent<HTMLDivElement>) {
    const step = event.key === "ArrowRight" ? STEP_PX : event.key === "ArrowLeft" ? -STEP_PX : 0;
    if (step === 0) return;
    event.preventDefault();
    set(column(event.currentTarget) + step);
  }
  function onPointerDown(event: PointerEvent<HTMLDivElement>) {
    event.currentTarget.setPointerCapture(event.pointerId);
    from.current = { x: event.clientX, width: column(event.currentTarget) };
  }
  function onPointerMove(event: PointerEvent<HTMLDivElement>) {
    if (from.current) set(from.current.width + event.clientX - from.current.x);
  }
  return (
    <div
      className="divider"
      role="separator"
      aria-orientation="vertical"
      aria-label={label}
      aria-valuenow={width}
      aria-valuemin={LEAST_PX}
      aria-valuemax={Math.max(most(), width)}
      aria-valuetext={`${width} pixels`}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={() => {
        from.current = null;
      }}
    />
  );
}

/** The pictures and the system prompt that a prompt was sent with. */
function SentAlong({ sent }: { sent: Sent }) {
  return (
    <>
      {sent.pictures.length > 0 && (
        <ul className="attached" aria-label="Attached pictures">
          {sent.pictures.map((picture, n) => (
            <li key={picture.key}>
              <a href={picture.url} target="_blank" rel="noopener noreferrer">
                <img src={picture.url} alt={`Attached picture ${n + 1}`} loading="lazy" />
              </a>
            </li>
          ))}
        </ul>
      )}
      {sent.system !== null && (
        <details className="system">
          <summary>System prompt</summary>
          <p dir="auto">{sent.system}</p>
        </details>
      )}
    </>
  );
}

/** One polite message a finished model; the streams themselves are no live region. */
function Finished({ answers, name }: { answers: readonly Answer[]; name: (answer: Answer, n: number) => string }) {
  return (
    <div className="visually-hidden" role="log" aria-live="polite" aria-relevant="additions">
      {answers.map((answer, n) =>
        ended(answer) ? <p key={answer.responseId}>{`${name(answer, n)} ${SAID[answer.phase] ?? ""}`}</p> : null,
      )}
    </div>
  );
}

const SAID: Partial<Record<Answer["phase"], string>> = {
  finished: "has finished.",
  failed: "has failed.",
  cancelled: "was stopped.",
};
