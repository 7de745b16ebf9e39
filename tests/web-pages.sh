#!/usr/bin/env bash
# The pages of the web part in a real browser: leaving, taking it back, pausing, reading, searching, by keyboard alone;
# accessibility by axe-core. Chromium and Node.js come from `.ci/setup tests`; nothing but loopback is used.
# The pictures are left in target/web-pages/shots.
set -euo pipefail
cd "$(dirname "$0")/.."

npm=$PWD/target/web-pages
if [[ ! -e "$npm/node_modules/axe-core" || ! -e "$npm/node_modules/playwright-core" ]]; then
    mkdir -p "$npm"
    cp tests/web-pages/package.json "$npm/"
    (cd "$npm" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --silent --no-audit --no-fund)
fi
WEB_PAGES_MODULES=$npm cargo test --locked --quiet --test it pages_work_in_a_browser -- --ignored --nocapture
