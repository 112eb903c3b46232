// Why the reader judged as they did: a note beside the rating of a turn, for nobody but its owner.
import { useState } from "react";

const MOST = 4_000; // as the API takes it

export function RatingNote({ note, onNote }: { note: string | null; onNote: (note: string | null) => void }) {
  const [mode, setMode] = useState<"shown" | "writing" | "over">("shown");
  if (mode === "writing") {
    return (
      <form
        className="rating-note"
        onSubmit={(event) => {
          event.preventDefault();
          const text = new FormData(event.currentTarget).get("note");
          onNote(typeof text === "string" && text.trim() !== "" ? text.trim() : null);
          setMode("over");
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") setMode("over");
        }}
      >
        <label>
          Note on these answers
          <textarea name="note" rows={2} dir="auto" maxLength={MOST} defaultValue={note ?? ""} autoFocus />
        </label>
        <div className="actions">
          <button className="primary">Save note</button>
          <button type="button" onClick={() => setMode("over")}>
            Leave
          </button>
        </div>
      </form>
    );
  }
  return (
    <div className="rating-note">
      {note !== null && (
        <p dir="auto">
          <span className="visually-hidden">Your note: </span>
          {note}
        </p>
      )}
      <button type="button" className="quiet" autoFocus={mode === "over"} onClick={() => setMode("writing")}>
        {note === null ? "Write a note" : "Change the note"}
      </button>
    </div>
  );
}
