// The frame around every page: a way past it, the navigation, and whether the network is there.
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { useQuery } from "@tanstack/react-query";
import { Navigate, Outlet, useLocation } from "react-router";
import { Sidebar } from "../features/history/Sidebar";
import { useKept } from "../components/ui/useKept";
import { paint, type Theme } from "../components/ui/theme";
import { UnreachableError } from "../client/errors";
import { session } from "../client/session";
import { Shortcuts } from "../features/shortcuts/Shortcuts";
import { SignIn } from "../features/signin/SignIn";
import "./layout.css";

export function Layout() {
  const at = useLocation();
  // The menu of a narrow page is open where it was opened: whoever follows a link in it wants to see where that leads.
  const [openAt, setOpenAt] = useState<string | null>(null);
  const open = openAt === at.key;
  const opener = useRef<HTMLButtonElement>(null);
  const [theme] = useKept<Theme>("theme", "system");
  useEffect(() => paint(theme), [theme]);
  const online = useSyncExternalStore(
    (tell) => {
      window.addEventListener("online", tell);
      window.addEventListener("offline", tell);
      return () => {
        window.removeEventListener("online", tell);
        window.removeEventListener("offline", tell);
      };
    },
    () => navigator.onLine,
  );
  const who = useQuery({ queryKey: ["session"], queryFn: session, staleTime: 60_000 });
  // Nothing is said of the address of a link to sign in by before it is known who asks.
  if (who.isPending && at.pathname === "/sign-in") return null;
  if (who.data?.auth === "keys" && who.data.owner === null) return <SignIn />;
  // A link to sign in by that is opened by who is signed in: what it holds leaves the address all the same.
  if (who.data && at.pathname === "/sign-in") return <Navigate to="/" replace />;
  return (
    <div className="layout">
      <a className="skip" href="#main">
        Skip to the answers
      </a>
      <header className="top">
        <button
          ref={opener}
          type="button"
          aria-expanded={open}
          aria-controls="side"
          onClick={() => setOpenAt(open ? null : at.key)}
        >
          Menu
        </button>
        <strong>Polylogue</strong>
      </header>
      <div
        id="side"
        className={open ? "side open" : "side"}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || !open) return;
          setOpenAt(null);
          opener.current?.focus();
        }}
      >
        <Sidebar />
        <Shortcuts />
      </div>
      <main id="main" tabIndex={-1}>
        {!online && (
          <p role="status" className="banner">
            You are offline. What is here stays readable; answers go on when the network is back.
          </p>
        )}
        {online && who.error instanceof UnreachableError && (
          <p role="status" className="banner">
            The server does not answer. What is here stays readable; this page tries again by itself.
          </p>
        )}
        <Outlet />
      </main>
    </div>
  );
}
