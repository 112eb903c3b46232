// Whether the screen is so narrow that one model is shown at a time, behind a tab.
import { useSyncExternalStore } from "react";

const NARROW = "(max-width: 48rem)"; // as in compare.css

export const isNarrow = () => matchMedia(NARROW).matches;

export const useNarrow = () => useSyncExternalStore(watch, isNarrow);

function watch(changed: () => void): () => void {
  const query = matchMedia(NARROW);
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}
