// Which elements are on the screen, by a name each: told by the browser, so that nothing has to be laid out to know.

const seen = new Map<string, boolean>();
const names = new WeakMap<Element, string>();
let observer: IntersectionObserver | null = null;

/** What was never watched counts as seen. */
export const isSeen = (name: string): boolean => seen.get(name) ?? true;

/** Watches an element until the returned function is called. */
export function watchSight(element: Element, name: string): () => void {
  if (typeof IntersectionObserver === "undefined") return () => undefined;
  observer ??= new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const of = names.get(target);
      if (of !== undefined) seen.set(of, isIntersecting);
    }
  });
  names.set(element, name);
  observer.observe(element);
  return () => {
    observer?.unobserve(element);
    seen.delete(name);
  };
}
