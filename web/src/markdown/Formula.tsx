// LaTeX, by KaTeX, which is loaded only where an answer holds a formula.
import { useEffect, useRef } from "react";

export function Formula({ tex, display }: { tex: string; display: boolean }) {
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let gone = false;
    void import("./katex")
      .then(({ draw }) => {
        if (!gone && place.current) draw(tex, place.current, display);
      })
      .catch(() => undefined); // offline: the source stays, and is readable
    return () => {
      gone = true;
    };
  }, [tex, display]);
  return (
    <span ref={place} className={display ? "formula display" : "formula"} dir="ltr">
      {tex}
    </span>
  );
}
