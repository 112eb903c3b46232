// What the reader may choose for this browser, and the keys that do things.
import { paint, type Theme } from "../../components/ui/theme";
import { useKept } from "../../components/ui/useKept";
import { KeyList } from "../shortcuts/Shortcuts";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { session, signOut } from "../../client/session";
import { useTitle } from "../../components/ui/useTitle";

export function SettingsPage() {
  useTitle("Settings");
  const [theme, setTheme] = useKept<Theme>("theme", "system");
  return (
    <div className="page">
      <h1>Settings</h1>
      <fieldset>
        <legend>Colours</legend>
        {(["system", "light", "dark"] as const).map((one) => (
          <label key={one} className="choice">
            <input
              type="radio"
              name="theme"
              checked={theme === one}
              onChange={() => {
                setTheme(one);
                paint(one);
              }}
            />{" "}
            {one === "system" ? "as the system" : one}
          </label>
        ))}
      </fieldset>
      <h2 id="keys">Keys</h2>
      <KeyList labelledBy="keys" />
      <Account />
    </div>
  );
}

function Account() {
  const queries = useQueryClient();
  const who = useQuery({ queryKey: ["session"], queryFn: session });
  if (who.data?.auth !== "keys") return null;
  return (
    <>
      <h2>Account</h2>
      <p>
        Signed in as {who.data.owner}.{" "}
        <button type="button" onClick={() => void signOut().then(() => queries.resetQueries())}>
          Sign out
        </button>
      </p>
    </>
  );
}
