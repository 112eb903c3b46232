// Asks before something is done for good, in the place where it was asked for.
import type { ReactNode } from "react";

interface Props {
  label: string;
  children: ReactNode;
  onYes: () => void;
  onNo: () => void;
}

/** The way back has the focus; Escape takes it. Who shows this gives the focus back afterwards. */
export function Question({ label, children, onYes, onNo }: Props) {
  return (
    <div
      role="alertdialog"
      aria-label={label}
      className="question"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        onNo();
      }}
    >
      <span>{children}</span>
      <button type="button" className="danger" onClick={onYes}>
        Delete
      </button>
      <button type="button" autoFocus onClick={onNo}>
        Keep
      </button>
    </div>
  );
}
