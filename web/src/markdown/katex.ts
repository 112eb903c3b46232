// KaTeX with its style sheet, as far as answers of models need it and no further.
import katex from "katex";
import "katex/dist/katex.min.css";

export function draw(tex: string, into: HTMLElement, displayMode: boolean): void {
  // No commands that load or link anything; an error shows the source in its place.
  katex.render(tex, into, { displayMode, throwOnError: false, trust: false, maxExpand: 500, maxSize: 20, strict: false });
}
