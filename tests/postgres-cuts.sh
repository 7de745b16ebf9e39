#!/usr/bin/env bash
# Workers that are cut off from their database, in network namespaces of their own: needs root, iproute2, a PostgreSQL
# installed, and ../shared/sim/mail_sink.py. `tests/postgres-cuts.sh [BINARY]`.
#
# One worker lives on another machine, as far as the network can tell, with a relay of its own beside it. It loses the
# database in the middle of sending, for longer than its leases hold; a second worker beside the database takes over; then
# the way is open again. Judged by what the relays took: each digest under one Message-ID, and no more copies than the
# first worker had dialogues.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ "${PAPERROUND_CUTS_INSIDE:-}" != yes ]]; then
    [[ $(id -u) == 0 ]] || { echo "cuts: skipped: this is not root" >&2; exit 0; }
    [[ -e ../shared/sim/mail_sink.py ]] || { echo "cuts: skipped: ../shared is absent" >&2; exit 0; }
    PAPERROUND_CUTS_INSIDE=yes exec unshare --net "$0" "$@"
fi

binary=$(realpath "${1:-target/release/paperround}")
n_digests=400
connections=2
sink=$(realpath ../shared/sim/mail_sink.py)
dir=$(mktemp -d)
chmod 711 "$dir"
pids=()
clean() {
    (( ${#pids[@]} == 0 )) || kill -9 "${pids[@]}" 2> /dev/null || true
    # Taken up here, so that bash does not report each of them.
    wait 2> /dev/null || true
    .ci/postgres stop "$dir/pg" > /dev/null 2>&1 || true
    rm -rf "$dir"
}
trap clean EXIT

# Two machines: this namespace with the database, and `far` behind a cable.
ip link set lo up
unshare --net sleep 600 &
far=$!
pids+=("$far")
until [[ $(readlink "/proc/$far/ns/net") != $(readlink /proc/$$/ns/net) ]]; do sleep 0.05; done
on_far() { nsenter --target "$far" --net -- "$@"; }
ip link add near type veth peer name there netns "$far"
ip address add 10.77.0.1/24 dev near
ip link set near up
on_far ip address add 10.77.0.2/24 dev there
on_far ip link set there up
on_far ip link set lo up

PAPERROUND_TEST_LISTEN=10.77.0.1 .ci/postgres start "$dir/pg" > "$dir/variables"
url=$(sed -n 's/^PAPERROUND_TEST_POSTGRES=//p' "$dir/variables")
psql "$url" --quiet --command 'create schema cuts'
python3 benches/workers.py "$n_digests" "$dir"
declare -A url_from=([near]=$url [far]=${url/127.0.0.1/10.77.0.1})
for name in near far; do
    cat > "$dir/config-$name.toml" << TOML
schedule = "0 0 8 1 1 *"
state_dir = "state-$name"
include = ["people.toml"]
[arxiv]
contact = "mailto:cuts@example.org"
api_url = "http://127.0.0.1:9/"
oai_url = "http://127.0.0.1:9/"
rss_url = "http://127.0.0.1:9/"
[mail]
from = "Paper round <papers@example.org>"
transport = "smtp"
host = "127.0.0.1"
port = 2525
tls = "none"
connections = $connections
token_key_file = "token-key"
[store]
backend = "postgres"
url = "${url_from[$name]}?sslmode=disable&options=-csearch_path%3Dcuts"
lease = "4s"
TOML
done
# The relays are slow, so that there is something in hand when the way is cut.
echo '[{"at": "body", "do": "slow:0.05", "times": 0}]' > "$dir/slow.json"
"$binary" --config "$dir/config-near.toml" --quiet state import "$dir/state.jsonl" > /dev/null
on_far python3 "$sink" --dir "$dir/mail-far" --port 2525 --faults "$dir/slow.json" > /dev/null &
pids+=($!)
python3 "$sink" --dir "$dir/mail-near" --port 2525 --faults "$dir/slow.json" > /dev/null &
pids+=($!)
sleep 1
n_mails() { cat "$dir"/mail-*/envelopes.jsonl | wc -l; }
n_left() { psql "$url" --quiet --tuples-only --no-align --command 'select count(*) from cuts.outbox where is_active'; }
wait_for() {
    local what=$1 began=$SECONDS
    shift
    until "$@"; do
        if (( SECONDS - began > 120 )); then
            echo "cuts: waited in vain until $what" >&2
            tail -n 5 "$dir"/*.log >&2
            exit 1
        fi
        sleep 0.2
    done
}
has_mails() { (( $(n_mails) >= $1 )); }
is_empty() { [[ $(n_left) == 0 ]]; }
says() { grep -q "$2" "$dir/$1.log"; }

on_far "$binary" --config "$dir/config-far.toml" serve 2> "$dir/far.log" &
pids+=($!)
wait_for 'the far worker sends' has_mails 40
on_far ip link set there down
echo "the far worker is cut off after $(n_mails) mails"
"$binary" --config "$dir/config-near.toml" serve 2> "$dir/near.log" &
pids+=($!)
wait_for 'the far worker notices' says far 'does not answer'
wait_for 'the near worker has sent all' is_empty
echo "the near worker has sent the rest: $(n_mails) mails"
on_far ip link set there up
echo 'the way is open again'
sleep 10
python3 - "$dir" "$n_digests" "$connections" << 'PYTHON'
import collections, json, pathlib, sys

folder, n_digests, connections = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
copies, whose = collections.Counter(), collections.defaultdict(set)
for path in folder.glob("mail-*/envelopes.jsonl"):
    for line in path.read_text().splitlines():
        mail = json.loads(line)
        copies[mail["message_id"]] += 1
        whose[mail["to"][0]].add(mail["message_id"])
doubled = sum(copies.values()) - len(copies)
good = len(whose) == n_digests and all(len(ids) == 1 for ids in whose.values()) and doubled <= connections
print(f"{len(whose)} of {n_digests} readers, {len(copies)} mails, {doubled} copies beyond the first of {connections} that may be")
sys.exit(not good)
PYTHON
