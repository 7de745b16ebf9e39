#!/usr/bin/env bash
# The checks of a mail that need the tools of others: three DKIM verifiers, SPF and DMARC, SpamAssassin, two HTML
# validators, a real Postfix, a browser. Everything listens on loopback only, and nothing is sent anywhere. Pictures of the
# mails, wide and narrow, light and dark, are left in target/mail-tools/pictures.
#
#     tests/mail-tools.sh            what is missing is installed (Debian, root)
#     tests/mail-tools.sh --check    no installation: fails where something is missing
set -euo pipefail
cd "$(dirname "$0")/.."

here=$PWD/tests/mail-tools
mails=$PWD/target/tmp/mails
npm=$PWD/target/mail-tools
# Postfix's own processes must reach its folders.
lab=$(mktemp -d /var/tmp/mail-tools.XXXXXX)
chmod 755 "$lab"

if [[ $(id -u) != 0 ]]; then
    echo 'mail-tools: needs root, for a name server on 127.0.0.2:53 and a Postfix of its own' >&2
    exit 77
fi

stop() {
    postfix -c "$lab/postfix" stop > /dev/null 2>&1 || true
    [[ -z "${dns_pid:-}" ]] || kill "$dns_pid" 2> /dev/null || true
    rm -rf "$lab"
}
trap stop EXIT

missing=()
for pair in opendkim:opendkim spamassassin:spamassassin dnsmasq:dnsmasq-base postfix:postfix java:default-jre-headless \
    npm:npm; do
    command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
done
perl -e 'use Mail::SPF; use Mail::DKIM' 2> /dev/null || missing+=(libmail-spf-perl libmail-dkim-perl)
if (( ${#missing[@]} )); then
    if [[ ${1:-} == --check ]]; then
        echo "mail-tools: missing: ${missing[*]}" >&2
        exit 1
    fi
    apt-get update -qq
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
    # A service that starts by itself would hold ports and read mail that is none of ours.
    printf '#!/bin/sh\nexit 101\n' > "$lab/policy" && chmod +x "$lab/policy"
    [[ -e /usr/sbin/policy-rc.d ]] || { cp "$lab/policy" /usr/sbin/policy-rc.d; own_policy=1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > "$lab/apt.log"
    [[ -z "${own_policy:-}" ]] || rm /usr/sbin/policy-rc.d
fi
if ! python3 -c 'import dkim, nacl, PIL' 2> /dev/null; then
    python3 -m pip install --quiet dkimpy pynacl pillow
fi
if [[ ! -e "$npm/node_modules/.bin/mailauth" || ! -e "$npm/node_modules/playwright-core" ]]; then
    mkdir -p "$npm"
    cp "$here/package.json" "$npm/"
    (cd "$npm" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --silent --no-audit --no-fund)
fi

cargo test --locked --quiet --test it mails_are_written_for_the_tools > "$lab/cargo.log" 2>&1 ||
    { cat "$lab/cargo.log"; exit 1; }

# The records that the program says are to be published, and an address for the relay with its reverse name.
python3 - "$mails/dns.json" > "$lab/dnsmasq.conf" << 'PYTHON'
import json, sys

for name, kinds in json.load(open(sys.argv[1])).items():
    for strings in kinds["TXT"]:
        print(f"txt-record={name}," + ",".join(f'"{s}"' for s in strings))
PYTHON
sed "s#@LAB@#$lab#" "$here/dnsmasq.conf" >> "$lab/dnsmasq.conf"
dnsmasq --keep-in-foreground --conf-file="$lab/dnsmasq.conf" &
dns_pid=$!

mkdir -p "$lab/postfix" "$lab/queue" "$lab/data" "$lab/mail"
chown postfix "$lab/data"
chown nobody "$lab/mail"
sed "s#@LAB@#$lab#" "$here/main.cf" > "$lab/postfix/main.cf"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed "s#@PORT@#$port#" "$here/master.cf" > "$lab/postfix/master.cf"
cp /etc/postfix/dynamicmaps.cf "$lab/postfix/" 2> /dev/null || true
postfix -c "$lab/postfix" start > "$lab/postfix-start.log" 2>&1 || {
    cat "$lab/postfix-start.log" "$lab/postfix.log"
    exit 1
}

python3 "$here/judge.py" "$mails" "$here" "$npm/node_modules" "$lab" "$port"
