// What one model said: reasoning folded away, text, notes, and its media below.
import type { Answer, Medium } from "../../state/turn";
import { ended } from "../../state/turn";
import { Markdown } from "../../markdown/Markdown";
import { MediaRenderer } from "./MediaRenderer";

export function MessageBubble({
  answer,
  prompt,
  onOpen,
  onDelete,
}: {
  answer: Answer;
  prompt: string;
  onOpen?: (medium: Medium) => void;
  onDelete?: (medium: Medium) => Promise<unknown>;
}) {
  const done = ended(answer);
  const textId = `text-${answer.responseId}`;
  return (
    <div className="message">
      {answer.reasoning !== "" && (
        <details className="reasoning">
          <summary>{done || answer.text !== "" ? "Reasoning" : "Reasoning…"}</summary>
          <Markdown text={answer.reasoning} done={done} />
        </details>
      )}
      {answer.text !== "" && (
        <div id={textId}>
          <Markdown text={answer.text} done={done} />
        </div>
      )}
      {answer.notes.map((note, n) => (
        <p key={n} className="note">
          {note}
        </p>
      ))}
      {answer.phase === "failed" && (
        <p className="failure">
          {answer.message ?? "This model failed."}
          {answer.text !== "" && " What it had said is kept above."}
        </p>
      )}
      {answer.phase === "cancelled" && <p className="note">{answer.text === "" ? "Stopped before it said anything." : "Stopped. What it had said is kept."}</p>}
      {answer.media.length > 0 && (
        <div className="message-media">
          {answer.media.map((medium) => (
            <MediaRenderer
              key={medium.mediaId}
              medium={medium}
              alt={altOf(prompt)}
              {...(answer.text === "" ? {} : { wordsIn: textId })}
              {...(onOpen ? { onOpen } : {})}
              {...(onDelete ? { onDelete } : {})}
            />
          ))}
        </div>
      )}
    </div>
  );
}

/** A generated medium is best described by what was asked for. */
export function altOf(prompt: string): string {
  const line = prompt.trim().replace(/\s+/g, " ");
  return line === "" ? "Made by a model" : line.length > 140 ? `${line.slice(0, 139)}…` : line;
}
