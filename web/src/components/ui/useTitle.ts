// Names the page in the browser's tab and history, by which those who see many at once tell them apart.
import { useEffect } from "react";

const NAME = "Polylogue";

export function useTitle(title: string | null): void {
  useEffect(() => {
    document.title = title ? `${title} – ${NAME}` : NAME;
    return () => {
      document.title = NAME;
    };
  }, [title]);
}
