// Asks who one is, where the server wants to know: by a key, or by the one-time link that led here.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { problemOf } from "../../components/ui/problem";
import { signIn } from "../../client/session";

export function SignIn() {
  const queries = useQueryClient();
  const entering = useMutation({
    mutationFn: signIn,
    onSuccess: () => {
      // Nothing of what was refused before may stay on the page.
      void queries.resetQueries();
    },
  });
  const { mutate } = entering;
  const used = useRef(false);
  useEffect(() => {
    const link = location.hash.slice(1);
    if (link === "" || used.current || location.pathname !== "/sign-in") return;
    used.current = true; // it works once
    // Out of the address at once: addresses are kept in histories.
    history.replaceState(null, "", "/");
    mutate({ link });
  }, [mutate]);
  return (
    <main className="page" id="main">
      <h1>Sign in to Polylogue</h1>
      <p>Open the link that you were given, or enter a key. The key is exchanged for a session and kept nowhere here.</p>
      <form
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          const key = new FormData(event.currentTarget).get("key");
          if (typeof key === "string") mutate({ key: key.trim() });
        }}
      >
        <label>
          Key <input type="password" name="key" required autoComplete="current-password" maxLength={200} />
        </label>
        <button className="primary" disabled={entering.isPending}>
          {entering.isPending ? "Signing in…" : "Sign in"}
        </button>
      </form>
      {entering.isError && (
        <p role="alert" className="failure">
          {problemOf(entering.error)}
        </p>
      )}
    </main>
  );
}
