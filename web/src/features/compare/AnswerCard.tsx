// One model's answer: a header that says how it stands and what can be done, and what it said.
import { memo, useEffect } from "react";
import { CopyButton } from "../../components/ui/CopyButton";
import { dollars } from "../../components/ui/money";
import { MessageBubble } from "../../components/conversation/MessageBubble";
import { isSeen, watchSight } from "../../state/sight";
import { ended, type Answer, type AnswerPhase, type Medium } from "../../state/turn";
import { useFollowing } from "./useFollowing";

const STATUS: Record<AnswerPhase, string> = {
  waiting: "Waiting",
  queued: "In line",
  answering: "Answering",
  finished: "Done",
  failed: "Failed",
  cancelled: "Stopped",
};

export interface AnswerActions {
  onStop: (answer: Answer) => void;
  onRetry: (answer: Answer) => void;
  onBreakOut: (answer: Answer) => void;
  onBest: (answer: Answer) => void;
  onThumb: (answer: Answer, thumb: "up" | "down") => void;
  onOpen: (answer: Answer, medium: Medium) => void;
  onDelete: (answer: Answer, medium: Medium) => Promise<unknown>;
}

interface Props {
  answer: Answer;
  prompt: string;
  /** What to call the model: its name, or a letter while judging blind. */
  name: string;
  /** Speed and price would tell the model, too. */
  blind: boolean;
  best: boolean;
  thumb: "up" | "down" | null;
  busy: boolean;
  /** Must stay the same from render to render. */
  actions: AnswerActions;
}

/** Drawn anew only when its own answer has changed: twelve of them stream at once. */
export const AnswerCard = memo(function AnswerCard({ answer, prompt, name, blind, best, thumb, busy, actions }: Props) {
  const { body, listening } = useFollowing(() => !ended(answer) && isSeen(answer.responseId));
  useEffect(() => (body.current ? watchSight(body.current, answer.responseId) : undefined), [answer.responseId, body]);
  const done = ended(answer);
  return (
    <article className="answer" aria-labelledby={`name-${answer.responseId}`} data-phase={answer.phase}>
      <header>
        <h3 id={`name-${answer.responseId}`}>{name}</h3>
        <p className="status">
          <span className={`pill ${answer.phase}`}>
            {STATUS[answer.phase]}
            {answer.phase === "queued" && answer.queuePosition !== null ? ` (${answer.queuePosition})` : ""}
          </span>
          {!blind && <span>{figures(answer)}</span>}
        </p>
        <div className="actions">
          {!done && (
            <button type="button" onClick={() => actions.onStop(answer)} aria-label={`Stop ${name}`}>
              Stop
            </button>
          )}
          {done && (
            <>
              <button
                type="button"
                onClick={() => actions.onRetry(answer)}
                disabled={busy}
                aria-label={`Retry ${name}`}
              >
                Retry
              </button>
              {answer.text !== "" && <CopyButton text={answer.text} of={`the answer of ${name}`} />}
              <button
                type="button"
                onClick={() => actions.onBreakOut(answer)}
                disabled={busy}
                aria-label={`Break out with ${name}`}
              >
                Break out
              </button>
              {answer.phase === "finished" && (
                <>
                  <button
                    type="button"
                    aria-pressed={best}
                    onClick={() => actions.onBest(answer)}
                    aria-label={`${name} gave the best answer`}
                  >
                    {best ? "★ Best" : "☆ Best"}
                  </button>
                  {(["up", "down"] as const).map((one) => (
                    <button
                      key={one}
                      type="button"
                      aria-pressed={thumb === one}
                      onClick={() => actions.onThumb(answer, one)}
                      aria-label={`Thumb ${one} for ${name}`}
                    >
                      {one === "up" ? "👍" : "👎"}
                    </button>
                  ))}
                </>
              )}
            </>
          )}
        </div>
      </header>
      <div
        className="answer-body"
        ref={body}
        tabIndex={0}
        role="region"
        aria-label={`Answer of ${name}`}
        {...listening}
      >
        <MessageBubble
          answer={answer}
          prompt={prompt}
          onOpen={(medium) => actions.onOpen(answer, medium)}
          {...(done ? { onDelete: (medium: Medium) => actions.onDelete(answer, medium) } : {})}
        />
      </div>
    </article>
  );
})

/** Time to the first token, tokens a second and cost, as far as they are known. */
export function figures(answer: Answer): string {
  const parts: string[] = [];
  const { startedAtMs, firstAtMs, endedAtMs, usage, costUsd } = answer;
  if (startedAtMs !== null && firstAtMs !== null) {
    const wait = firstAtMs - startedAtMs;
    parts.push(`first after ${wait < 1000 ? `${wait} ms` : `${(wait / 1000).toFixed(1)} s`}`);
  }
  const tokens = usage?.completion_tokens;
  if (tokens && firstAtMs !== null && endedAtMs !== null && endedAtMs > firstAtMs) {
    parts.push(`${Math.round((tokens * 1000) / (endedAtMs - firstAtMs))} tokens/s`);
  }
  if (costUsd !== null) parts.push(dollars(costUsd));
  return parts.join(" · ");
}
