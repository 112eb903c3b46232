// What the reader may choose for this browser, and the keys that do things.
import { paint, type Theme } from "../../components/ui/theme";
import { useKept } from "../../components/ui/useKept";

const KEYS: readonly (readonly [string, string])[] = [
  ["Enter", "ask"],
  ["Shift + Enter", "a new line in the prompt"],
  ["Tab", "from card to card; the divider after a card changes its width with ← and →"],
  ["← →", "from model to model on narrow screens, from picture to picture when one is enlarged"],
  ["+ −", "enlarge or shrink a picture"],
  ["Esc", "close what is open"],
];

export function SettingsPage() {
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
      <dl className="keys" aria-labelledby="keys">
        {KEYS.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
