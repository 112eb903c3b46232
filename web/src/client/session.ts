// Who is signed in, and how one signs in and out. The session is a cookie that no script can read.
import { json } from "./http";

export interface Session {
  auth: "local" | "keys";
  /** Null where nobody has signed in yet. */
  owner: string | null;
  scopes: string[];
}

export const session = () => json<Session>("/session");

/** A key of the API, or the secret of a one-time link. */
export const signIn = (given: { key: string } | { link: string }) =>
  json<Session>("/session", { method: "POST", body: given });

export const signOut = () => json("/session", { method: "DELETE" });
