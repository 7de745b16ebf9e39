#!/usr/bin/env bash
# How fast one, two and three workers on one database send what is due: `benches/workers.sh [DIGESTS] [WORKERS…]`.
# Needs PAPERROUND_TEST_POSTGRES (see .ci/postgres), psql, a release build, and Postfix's smtp-sink in the path.
set -euo pipefail
cd "$(dirname "$0")/.."

n_digests=${1:-100000}
shift || true
counts=("$@")
(( ${#counts[@]} )) || counts=(1 2 3)
binary=${PAPERROUND_BINARY:-target/release/paperround}
: "${PAPERROUND_TEST_POSTGRES:?names no database; see .ci/postgres}"
command -v smtp-sink > /dev/null || { echo "workers: smtp-sink is absent; it comes with postfix" >&2; exit 1; }

dir=$(mktemp -d)
pids=()
clean() {
    (( ${#pids[@]} == 0 )) || kill "${pids[@]}" 2> /dev/null || true
    wait
    sql "drop schema if exists bench cascade" 2> /dev/null || true
    rm -rf "$dir"
}
trap clean EXIT
sql() {
    psql "$PAPERROUND_TEST_POSTGRES" --quiet --tuples-only --no-align --command "$1"
}
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
user=()
[[ $(id -u) != 0 ]] || user=(-u nobody)
smtp-sink "${user[@]}" 127.0.0.1:"$port" 1000 > /dev/null 2>&1 &
pids+=($!)
sink=$!

python3 benches/workers.py "$n_digests" "$dir"
for n in 1 2 3 4 5 6 7 8; do
    cat > "$dir/config-$n.toml" << TOML
schedule = "0 0 8 1 1 *"
state_dir = "state-$n"
include = ["people.toml"]
[arxiv]
contact = "mailto:bench@example.org"
api_url = "http://127.0.0.1:9/"
oai_url = "http://127.0.0.1:9/"
rss_url = "http://127.0.0.1:9/"
[mail]
from = "Paper round <papers@example.org>"
transport = "smtp"
host = "127.0.0.1"
port = $port
tls = "none"
connections = ${CONNECTIONS:-4}
token_key_file = "token-key"
[store]
backend = "postgres"
url = "$PAPERROUND_TEST_POSTGRES?options=-csearch_path%3Dbench"
connections = 8
TOML
done
printf '%s\n' "cores: $(nproc); digests: $n_digests of 5 papers; connections of each worker: ${CONNECTIONS:-4}"
printf '%8s %9s %11s %19s\n' workers seconds digests/s transactions/digest
for n_workers in "${counts[@]}"; do
    sql "drop schema if exists bench cascade" 2> /dev/null
    sql "create schema bench"
    "$binary" --config "$dir/config-1.toml" --quiet state import "$dir/state.jsonl" > /dev/null
    sql "analyze bench.outbox"
    commits() { sql "select xact_commit from pg_stat_database where datname = current_database()"; }
    before=$(commits)
    began=$(date +%s.%N)
    serving=()
    for n in $(seq "$n_workers"); do
        "$binary" --config "$dir/config-$n.toml" --quiet serve 2> "$dir/serve-$n.log" &
        serving+=($!)
        pids+=($!)
    done
    while [[ $(sql "select count(*) from bench.outbox where is_active") != 0 ]]; do
        for pid in "${serving[@]}"; do
            kill -0 "$pid" 2> /dev/null || { echo "workers: one ended" >&2; tail -n 5 "$dir"/serve-*.log >&2; exit 1; }
        done
        sleep 0.5
    done
    ended=$(date +%s.%N)
    kill "${serving[@]}"
    wait "${serving[@]}" 2> /dev/null || true
    sleep 1
    after=$(commits)
    awk -v w="$n_workers" -v b="$began" -v e="$ended" -v n="$n_digests" -v c="$((after - before))" \
        'BEGIN { s = e - b; printf "%8d %9.1f %11.0f %19.2f\n", w, s, n / s, c / n }'
done
kill "$sink" 2> /dev/null || true
