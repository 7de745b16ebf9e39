# Runs as root inside the booted machine; each claim becomes a line of /out/results.
exec > /out/log 2>&1
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# claim WORDS COMMAND…: holds if the command succeeds.
claim() {
    local words=$1
    shift
    echo "== $words"
    if "$@"; then echo "ok: $words" >> /out/results; else echo "FAILED: $words" | tee -a /out/results; fi
}
not() { ! "$@"; }
# within SECONDS COMMAND…: tries it every second.
within() {
    local seconds=$1
    shift
    for ((i = 0; i < seconds; i++)); do
        "$@" && return 0
        sleep 1
    done
    return 1
}
active() { [[ $(systemctl is-active paperround) == active ]]; }
mails() { find /srv/ana/Maildir/new -type f 2> /dev/null; }
n_mails() { mails | wc -l; }
has_mails() { (( $(n_mails) >= $1 )); }
restarts() { systemctl show --property=NRestarts --value paperround; }
restarted_since() { (( $(restarts) > $1 )) && active; }
# Never 0, which would be this script's own group.
main_pid() {
    local pid
    pid=$(systemctl show --property=MainPID --value paperround)
    ((pid > 0)) && echo "$pid" || echo none
}
config=/etc/paperround/config.toml

# The three things to edit: whom arXiv may write to, the relay, who reads. And what only this test needs: its stand-in
# for arXiv, a slot in every minute, a start that spans a weekend, a keyword that no week is without.
configure() {
    echo CANARY-4711 > /etc/paperround/credentials/smtp-password
    sed -i 's|^contact = .*|contact = "mailto:root@lab.example"|
        s|^transport = "maildir"|transport = "smtp"\nhost = "localhost"\ntls = "none"|
        s|^email = "ana@example.net"|email = "ana@lab.example"|
        s|^#api_url = .*|api_url = "http://127.0.0.1:8181/api/query"|
        s|^#oai_url = .*|oai_url = "http://127.0.0.1:8181/oai"|
        s|^#rss_url = .*|rss_url = "http://127.0.0.1:8181/rss"|
        s|^#request_interval = .*|request_interval = "50ms"|
        s|^keywords = .*|keywords = ["neural architecture search", "diffusion model"]|
        s|^#schedule = "0 7.*|schedule = "* * * * *"|
        s|^#first_digest = .*|first_digest = "7d"|' $config
}

trap 'journalctl --no-pager > /out/journal; echo end >> /out/results' EXIT

# A local Postfix that keeps what comes for ana, under any extension of her name.
useradd --create-home --home-dir /srv/ana ana
postconf -e 'inet_interfaces = loopback-only' 'myhostname = paperround-test' 'mydestination = lab.example, localhost' \
    'home_mailbox = Maildir/' 'recipient_delimiter = +' 'smtputf8_enable = no' 'local_recipient_maps ='
systemctl unmask --quiet postfix.service 2> /dev/null
rm -f /etc/systemd/system/postfix.service
systemctl daemon-reload
systemctl start postfix
systemd-run --quiet --unit=arxiv python3 /stage/arxiv_sim.py --corpus /stage/corpus.jsonl --announced /stage/announced.tsv \
    --port 8181 --now "$(date --utc +%Y-%m-%dT%H:%M:%SZ)" --log /out/requests.jsonl

claim 'the package installs with what Debian has' dpkg --install /stage/paperround.deb
claim 'it is not enabled and not started before it is configured' not systemctl --quiet is-enabled paperround
claim 'it does not run yet' not active
claim 'its user exists' id paperround
claim 'only root reads the credentials' [ "$(stat -c '%U %a' /etc/paperround/credentials)" = 'root 700' ]
claim 'the shipped configuration passes the check' paperroundctl check

configure
claim 'the edited configuration passes the check' paperroundctl check
claim 'check --online reaches arXiv, relay and state' paperroundctl check --online
printf CANARY-4711 > /etc/paperround/credentials/smtp-password-2
printf '\n[[mail.relay]]\nhost = "relay.lab.example"\nusername = "papers"\n' >> $config
claim 'a command gets the password of a second relay too' paperroundctl check
sed -i '/^\[\[mail.relay\]\]/,+2d' $config
rm /etc/paperround/credentials/smtp-password-2
claim 'a test mail arrives' paperroundctl test-mail ana+test@lab.example
claim 'it starts' systemctl enable --now paperround
claim 'it says that it is ready' active
claim 'it runs as its own user' [ "$(stat -c %U "/proc/$(main_pid)")" = paperround ]
claim 'a digest arrives' within 180 has_mails 2
digest() { mails | xargs grep -l '^List-Unsubscribe:' | head -n 1; }
claim 'it is a digest, from the configured sender' grep -q '^From: .*<papers@example.org>' "$(digest)"
is_well() { paperroundctl status | tee /out/status | grep -q '^All is well'; }
claim 'status is well' is_well

claim 'a good configuration reloads' systemctl reload paperround
echo 'nonsense = 1' >> $config
claim 'a broken one is refused' not systemctl reload paperround
claim 'the daemon goes on with the former one' active
sed -i '/^nonsense/d' $config
sleep 6
n_before=$(n_mails)
before=$(restarts)
kill -9 "$(main_pid)"
claim 'after kill -9 it is started again' within 30 restarted_since "$before"
sleep 65
claim 'and mails nothing a second time' [ "$(n_mails)" = "$n_before" ]

before=$(restarts)
kill -STOP "$(main_pid)"
claim 'a process that stands still is ended by the watchdog and started again' within 120 restarted_since "$before"

# The same unit around a program that tries to break out.
sed 's|^ExecStart=.*|ExecStart=/usr/bin/python3 /stage/probe.py|; s|^Type=.*|Type=oneshot|; /^ExecReload=/d; /^Restart/d; /^WatchdogSec/d
    s|^ExecPaths=.*|& /usr/bin/python3 /usr/bin/python3.11|; s|^RuntimeDirectory=.*||' \
    /usr/lib/systemd/system/paperround.service > /etc/systemd/system/probe.service
systemctl daemon-reload
systemctl start probe
journalctl --unit=probe --output=cat --no-pager > /out/probe
claim 'the sandbox lets no attempt through' not grep 'got through' /out/probe
claim 'the attempts were made' [ "$(grep -c '^refused' /out/probe)" -ge 15 ]
claim 'its exposure is 1.1 at most' systemd-analyze security --threshold=11 --no-pager paperround

# Forty readers at two mails a second, and an upgrade in the middle of it.
{
    printf '\n[[group]]\nkeywords = ["agent", "diffusion", "transformer"]\nemails = ['
    for n in $(seq 40); do printf '"ana+%s@lab.example", ' "$n"; done
    printf ']\n'
} >> $config
sed -i 's|^#messages_per_minute = .*|messages_per_minute = 120|' $config
n_before=$(n_mails)
claim 'the group is taken in' systemctl reload paperround
claim 'its digests begin to arrive' within 150 has_mails $((n_before + 5))
claim 'the package is installed again while it sends' dpkg --install /stage/paperround.deb
claim 'it is running after that' within 30 active
claim 'all forty digests arrive' within 120 has_mails $((n_before + 40))
sleep 65
claim 'no paper of theirs twice' python3 /stage/doubles.py /srv/ana/Maildir
recipients() { mails | xargs grep -h '^To: .*ana+[0-9]' | sort -u | wc -l; }
claim 'one for each of them' [ "$(recipients)" = 40 ]

journalctl --no-pager > /out/journal
claim 'the journal holds no secret' not grep -q CANARY-4711 /out/journal
claim 'the journal holds no address in full' not grep -q 'ana+7@lab.example.*digest accepted' /out/journal

claim 'removal stops it' dpkg --remove paperround
claim 'it is gone from memory' not active
claim 'the configuration stays' test -e $config
claim 'purge succeeds' dpkg --purge paperround
claim 'and leaves nothing' not ls -d /etc/paperround /var/lib/paperround /usr/share/doc/paperround /run/paperround \
    /etc/systemd/system/multi-user.target.wants/paperround.service
claim 'nor a user' not id paperround

# The other way to install, from a build, and what README.md says of backups, upgrades and being told.
cp -r /stage/tree /srv/tree
cd /srv/tree || exit
claim 'deploy/install installs from a build' deploy/install
claim 'it is not started before it is configured' not active
configure
claim 'what was installed passes the check' paperroundctl check
claim 'it starts as well' systemctl enable --now paperround
before=$(n_mails)
claim 'its digest arrives' within 180 has_mails $((before + 1))
sleep 5
n_before=$(n_mails)
claim 'a backup is made' eval 'systemctl stop paperround &&
    tar -czf paperround-backup.tar.gz -C / etc/paperround var/lib/paperround && systemctl start paperround'
claim 'the newer version is installed while it runs' deploy/install
claim 'it passes the check' paperroundctl check
claim 'it restarts' systemctl restart paperround
claim 'a backup is put back' eval 'systemctl stop paperround && rm -r /var/lib/paperround &&
    tar -xzf paperround-backup.tar.gz -C / && paperroundctl check && systemctl start paperround'
sleep 65
claim 'after that nothing comes a second time' [ "$(n_mails)" = "$n_before" ]
claim 'the state is exported' eval 'paperroundctl state export > state.jsonl && [ -s state.jsonl ]'

# What the example of OnFailure= would mail.
printf '#!/bin/sh\ncat > "/out/told"\n' > /usr/local/bin/mail
chmod +x /usr/local/bin/mail
mkdir -p /etc/systemd/system/paperround.service.d
printf '[Unit]\nOnFailure=paperround-failure@%%n.service\n' > /etc/systemd/system/paperround.service.d/told.conf
systemctl daemon-reload
echo 'nonsense = 1' >> $config
claim 'a start with a broken configuration fails' not systemctl restart paperround
claim 'and somebody is told which unit has failed' within 30 grep -q 'paperround.service' /out/told
claim 'it is removed' eval 'systemctl disable --now paperround;
    rm -r /usr/bin/paperround /usr/sbin/paperroundctl /etc/systemd/system/paperround.service'
claim 'state and configuration stay' ls -d /var/lib/paperround/store /etc/paperround/config.toml
