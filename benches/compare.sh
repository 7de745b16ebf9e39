#!/usr/bin/env bash
# A morning's mails for N subscribers, beside what a user would write instead and beside Postfix's own load generator, in
# one table with ratios: `benches/compare.sh [N…]`, by default 1000 and 10000.
# Needs a release build, the recorded papers and the peer in ../shared, Postfix's smtp-sink and smtp-source in the path;
# feedparser and Jinja2 go into target/compare. What is measured and how stands in compare.py.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=target/compare
if [[ ! -x $tools/bin/python ]]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet feedparser jinja2
fi
PATH=$PATH:/usr/sbin exec "$tools/bin/python" -B benches/compare.py "${PAPERROUND_BINARY:-target/release/paperround}" ../shared "$@"
