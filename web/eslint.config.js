// Lint rules, and which folder may import which: client ← state ← components ← features ← app.
import hooks from "eslint-plugin-react-hooks";
import { defineConfig } from "eslint/config";
import typescript from "typescript-eslint";

/** Forbids imports from the folders that lie above. */
const zone = (folder, ...above) => ({
  files: [`src/${folder}/**/*.{ts,tsx}`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: above.map((name) => ({
          group: [`**/${name}/**`, `@/${name}/**`],
          message: `src/${folder} lies below src/${name}.`,
        })),
      },
    ],
  },
});

export default defineConfig(
  { ignores: ["dist/", "node_modules/"] },
  {
    files: ["**/*.{ts,tsx}"],
    extends: [typescript.configs.strictTypeChecked, typescript.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { "react-hooks": hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/consistent-type-definitions": ["error", "interface"],
      "no-console": "error",
      "no-restricted-syntax": [
        "error",
        {
          selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
          message: "What models and users wrote never becomes HTML by itself; render elements.",
        },
      ],
    },
  },
  zone("client", "state", "services", "components", "features", "app", "markdown"),
  zone("types", "client", "state", "services", "components", "features", "app"),
  zone("state", "components", "features", "app", "markdown"),
  zone("services", "components", "features", "app", "markdown"),
  zone("markdown", "client", "state", "services", "features", "app"),
  zone("components", "features", "app"),
  zone("features", "app"),
);
