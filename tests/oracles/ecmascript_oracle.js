// What the reference tools say of source files: TypeScript and Babel about syntax,
// typescript-eslint about unused and shadowed names.
// Usage: node ecmascript_oracle.js DIRECTORY_WITH_NODE_MODULES < file_names
// One JSON object per file: {file, fault: line or null, findings: [{rule, line, name, selfNamed}]}

"use strict";

const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const load = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
const typescript = load("typescript");
const babel = load("@babel/parser");
const { Linter } = load("eslint");
const parser = load("@typescript-eslint/parser");
const plugin = load("@typescript-eslint/eslint-plugin");

const TYPED = /\.[cm]?tsx?$/;
const DECLARATIONS = /\.d\.[cm]?ts$/;

function faultLine(file, text) {
  if (TYPED.test(file)) {
    const tree = typescript.createSourceFile(file, text, typescript.ScriptTarget.ESNext);
    const [first] = tree.parseDiagnostics;
    return first ? tree.getLineAndCharacterOfPosition(first.start).line + 1 : null;
  }
  try {
    babel.parse(text, {
      sourceType: "unambiguous",
      allowReturnOutsideFunction: true,
      allowNewTargetOutsideFunction: true,
      plugins: ["jsx"],
    });
    return null;
  } catch (error) {
    return error.loc ? error.loc.line : 1;
  }
}

// Names of function and class expressions inside the variable of the same name.
const selfNames = new Set();
const collector = {
  create: () => ({
    "FunctionExpression[id], ClassExpression[id]"(node) {
      for (let outer = node.parent; outer; outer = outer.parent) {
        if (outer.type === "VariableDeclarator" && outer.id.name === node.id.name) {
          selfNames.add(`${node.id.loc.start.line}:${node.id.loc.start.column + 1}`);
        }
      }
    },
  }),
};

const linter = new Linter({ configType: "flat" });

function configuration(file) {
  return {
    files: ["**/*.{js,cjs,mjs,jsx,ts,cts,mts,tsx}"],
    linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: "off" },
    languageOptions: {
      parser,
      sourceType: "module",
      parserOptions: { ecmaFeatures: { jsx: !/\.[cm]?ts$/.test(file) } },
    },
    plugins: { typed: plugin, local: { rules: { "self-names": collector } } },
    rules: {
      "local/self-names": "error",
      "typed/no-unused-vars": [
        "error",
        {
          args: "none",
          caughtErrors: "none",
          ignoreRestSiblings: true,
          varsIgnorePattern: "^_",
          destructuredArrayIgnorePattern: "^_",
        },
      ],
      "typed/no-shadow": [
        "error",
        {
          builtinGlobals: false,
          hoist: "functions",
          ignoreTypeValueShadow: true,
          ignoreFunctionTypeParameterNameValueShadow: true,
        },
      ],
    },
  };
}

function findings(file, text) {
  selfNames.clear();
  const messages = linter.verify(text, [configuration(file)], {
    filename: `file${path.extname(file)}`,
  });
  if (messages.some((message) => message.fatal)) return null;
  // Without a rule: a remark on a comment that configures the linter.
  return messages.filter(({ ruleId }) => ruleId !== null).map(({ ruleId, line, column, message }) => ({
    rule: ruleId.endsWith("no-shadow") ? "shadow" : "unused",
    line,
    name: /'([^']*)'/.exec(message)[1],
    selfNamed: selfNames.has(`${line}:${column}`),
  }));
}

for (const file of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const text = fs.readFileSync(file, "utf8").replace(/^\ufeff/, "");
  const fault = faultLine(file, text);
  const named = fault === null && !DECLARATIONS.test(file) ? findings(file, text) : null;
  process.stdout.write(`${JSON.stringify({ file, fault, findings: named })}\n`);
}
