// Where a frame lies in the log, as text that sorts: its id without what a reader needs to begin again there.

const ID = /^[0-9a-f](?:-[0-9a-f]+){5}$/;

/** The same frame has the same place on every stream; where one must begin to read again may differ between them. */
export function placeOf(id: string): string {
  return ID.test(id) ? id.slice(0, id.lastIndexOf("-")) : id;
}

/** Whether the frame lies behind all that is held. */
export const isAfter = (id: string, held: string | null | undefined): boolean =>
  held === null || held === undefined || placeOf(id) > placeOf(held);
