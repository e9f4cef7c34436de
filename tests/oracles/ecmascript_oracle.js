// What the reference tools say of source files: TypeScript and Babel about syntax, eslint and
// typescript-eslint about unused and shadowed names.
// Usage: node ecmascript_oracle.js DIRECTORY_WITH_NODE_MODULES verdicts|names < file_names
// One JSON object per file:
//   verdicts: {file, typescript: line or null, babel: line or null, patterns: whether the regular
//             expressions are valid, which neither of the two looks at, node: whether it takes the
//             file for a script, a function of a loader or a module, as far as its name leaves that
//             open; null for what node does not read}
//   names:    {file, findings: [{rule, line, name, typed, selfNamed}], or null where it is not parsed}

"use strict";

const fs = require("fs");
const path = require("path");
const vm = require("vm");
const { createRequire } = require("module");

const load = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));

const TYPED = /\.[cm]?tsx?$/;
const DECLARATIONS = /\.d\.[cm]?ts$/;
const MODULE = /\.m[jt]s$/;
const IMPORTS = /^\s*(?:import\b(?!\s*\()|export\b)/m;
const COMMONJS = /\brequire\s*\(|\bmodule\.exports\b|\bexports\s*[.[]/;

function verdicts() {
  const typescript = load("typescript");
  const babel = load("@babel/parser");

  function typescriptLine(file, text) {
    const tree = typescript.createSourceFile(file, text, typescript.ScriptTarget.ESNext);
    const [first] = tree.parseDiagnostics;
    return first ? tree.getLineAndCharacterOfPosition(first.start).line + 1 : null;
  }

  function options(file, decorators) {
    const asModule = MODULE.test(file);
    const plugins = [
      decorators,
      "decoratorAutoAccessors",
      "explicitResourceManagement",
      "deferredImportEvaluation",
      "sourcePhaseImports",
    ];
    if (TYPED.test(file)) plugins.push(["typescript", { dts: DECLARATIONS.test(file) }]);
    if (!/\.[cm]?ts$/.test(file)) plugins.push("jsx");
    return {
      sourceType: asModule ? "module" : "unambiguous",
      allowReturnOutsideFunction: !asModule,
      allowNewTargetOutsideFunction: !asModule,
      plugins,
      tokens: true,
    };
  }

  // Decorators as they are proposed, else as TypeScript and older releases of Babel had them.
  function babelReads(file, text) {
    try {
      return { tree: babel.parse(text, options(file, "decorators")), line: null };
    } catch (error) {
      try {
        return { tree: babel.parse(text, options(file, "decorators-legacy")), line: null };
      } catch {
        return { tree: null, line: error.loc?.line ?? 1 };
      }
    }
  }

  function isPattern({ pattern, flags }) {
    try {
      new RegExp(pattern, flags);
      return true;
    } catch {
      return false;
    }
  }

  function patternsOf(tree) {
    return (tree?.tokens ?? []).filter((token) => token.type.label === "regexp");
  }

  const LOADER = ["exports", "require", "module", "__filename", "__dirname"];

  function compiles(compile) {
    try {
      compile();
      return true;
    } catch {
      return false;
    }
  }

  function nodeTakes(file, text) {
    if (!/\.[cm]?js$/.test(file)) return null;
    const asModule = () => compiles(() => new vm.SourceTextModule(text));
    const body = text.replace(/^#!.*/, "");
    const asFunction = () => compiles(() => vm.compileFunction(body, LOADER));
    if (/\.mjs$/.test(file)) return asModule();
    if (/\.cjs$/.test(file)) return asFunction();
    return compiles(() => new vm.Script(text)) || asFunction() || asModule();
  }

  return (file, text) => {
    // What node takes is accepted; the other two need minutes for large bundles.
    const node = nodeTakes(file, text);
    if (node) return { file, typescript: null, babel: null, patterns: true, node };
    const { tree, line } = babelReads(file, text);
    const patterns = patternsOf(tree).every(({ value }) => isPattern(value));
    return { file, typescript: typescriptLine(file, text), babel: line, patterns, node };
  };
}

function names() {
  const { Linter } = load("eslint");
  const parser = load("@typescript-eslint/parser");
  const plugin = load("@typescript-eslint/eslint-plugin");

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

  function sourceType(file, text) {
    if (/\.cjs$/.test(file)) return "commonjs";
    if (MODULE.test(file) || IMPORTS.test(text)) return "module";
    return COMMONJS.test(text) ? "commonjs" : "script";
  }

  function languageOptions(file, type) {
    const jsx = !/\.[cm]?ts$/.test(file);
    const parserOptions = { ecmaFeatures: { jsx } };
    if (!TYPED.test(file)) return { sourceType: type, parserOptions };
    return { parser, sourceType: type === "commonjs" ? "module" : type, parserOptions };
  }

  // The top level of a script declares globals, which other files use.
  function rules(file, type) {
    const prefix = TYPED.test(file) ? "typed/" : "";
    const types = { ignoreTypeValueShadow: true, ignoreFunctionTypeParameterNameValueShadow: true };
    return {
      "local/self-names": "error",
      [`${prefix}no-unused-vars`]: [
        "error",
        {
          vars: type === "script" ? "local" : "all",
          args: "none",
          caughtErrors: "none",
          ignoreRestSiblings: true,
          varsIgnorePattern: "^_",
          destructuredArrayIgnorePattern: "^_",
        },
      ],
      [`${prefix}no-shadow`]: [
        "error",
        { builtinGlobals: false, hoist: "functions", ...(prefix ? types : {}) },
      ],
    };
  }

  return (file, text) => {
    const type = sourceType(file, text);
    const configuration = {
      files: ["**/*.{js,cjs,mjs,jsx,ts,cts,mts,tsx}"],
      linterOptions: { reportUnusedDisableDirectives: "off" },
      languageOptions: languageOptions(file, type),
      plugins: { typed: plugin, local: { rules: { "self-names": collector } } },
      rules: rules(file, type),
    };
    selfNames.clear();
    const filename = `file${path.extname(file)}`;
    const messages = linter.verify(text, [configuration], { filename });
    if (messages.some((message) => message.fatal)) return { file, findings: null };
    // Others: remarks on comments that name rules which are not there.
    const found = messages.filter(({ ruleId }) => /no-(?:unused-vars|shadow)$/.test(ruleId ?? ""));
    const findings = found
      .filter(({ message }) => /'[^']*'/.test(message))
      .map(({ ruleId, line, column, message }) => ({
        rule: ruleId.endsWith("no-shadow") ? "shadow" : "unused",
        line,
        name: /'([^']*)'/.exec(message)[1],
        typed: message.includes("only used as a type"),
        selfNamed: selfNames.has(`${line}:${column}`),
      }));
    return { file, findings };
  };
}

const said = { verdicts, names }[process.argv[3]]();
for (const file of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const text = fs.readFileSync(file, "utf8").replace(/^\ufeff/, "");
  process.stdout.write(`${JSON.stringify(said(file, text))}\n`);
}
