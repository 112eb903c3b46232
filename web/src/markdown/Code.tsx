// A block of code: highlighted once it is whole, with a button that copies it.
import { useEffect, useState, type ReactNode } from "react";
import { CopyButton } from "../components/ui/CopyButton";

type Highlight = (text: string, language: string) => ReactNode;

let highlighter: Promise<Highlight> | null = null;

export function Code({ text, language, final }: { text: string; language: string; final: boolean }) {
  const [highlight, setHighlight] = useState<Highlight | null>(null);
  const named = language.split(/\s/, 1)[0] ?? "";
  const wanted = final && named !== "";
  useEffect(() => {
    if (!wanted || highlight) return;
    let gone = false;
    highlighter ??= import("./highlight").then((loaded) => loaded.highlight);
    highlighter.then(
      (loaded) => {
        if (!gone) setHighlight(() => loaded);
      },
      () => {
        highlighter = null; // offline: plain code is readable, and a later block tries again
      },
    );
    return () => {
      gone = true;
    };
  }, [wanted, highlight]);
  return (
    <div className="code-block" dir="ltr">
      <div className="code-bar">
        <span>{named}</span>
        <CopyButton text={text} label="Copy code" />
      </div>
      <pre tabIndex={0}>
        <code>{wanted && highlight ? highlight(text, named) : text}</code>
      </pre>
    </div>
  );
}
