#!/usr/bin/env bash
# The Debian package on a fresh Debian 12 with a real systemd: installed, edited, started; a digest arrives in a local
# Postfix; reload, crash, watchdog, sandbox, upgrade while sending, purge; then the same from a build, with a backup that
# is put back, and a failure that is told. What is tried stands in package/guest.sh.
#
# It builds both packages around target/release/paperround, asks lintian and mandoc about them, and boots the machine.
# Needs root and the stand-in for arXiv in ../shared; installs the tools that it lacks. About eight minutes. Exit status
# 77: nothing failed, but no machine could be had or booted here.
set -euo pipefail
cd "$(dirname "$0")/.."

shared=../shared
root=$PWD/target/ci/debian
lab=$PWD/target/ci/package

if [[ $(id -u) != 0 || ! -e $shared/sim/arxiv_sim.py ]]; then
    echo "package: this is not root, or $shared is absent"
    exit 77
fi
missing=()
for pair in lintian:lintian rpmbuild:rpm mandoc:mandoc debootstrap:debootstrap systemd-nspawn:systemd-container; do
    command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
done
if ((${#missing[@]})); then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi

deploy/package deb rpm
package=$(ls target/package/*.deb)
# Errors end it; of the warnings there is one, that no bug of Debian's asked for the package.
lintian --allow-root --fail-on error "$package"
mandoc -T lint -W error target/package/paperround.1 target/package/paperround.toml.5 deploy/paperroundctl.8

if [[ ! -e $root/complete ]]; then
    rm -rf "$root"
    mkdir -p "$root"
    # The same mirror as this machine's own, if this is a Debian 12.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' | head -n 1)
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,postfix,python3,procps,ca-certificates \
        bookworm "$root" "${mirror:-http://deb.debian.org/debian}" > "$root.log" || {
        echo 'package: no Debian could be had:'
        tail "$root.log"
        exit 77
    }
    touch "$root/complete"
fi

rm -rf "$lab"
mkdir -p "$lab/stage" "$lab/out" "$lab/layer"
cp "$package" "$lab/stage/paperround.deb"
cp tests/package/* "$lab/stage/"
cp "$shared/sim/arxiv_sim.py" "$lab/stage/"
# As much of a clone as deploy/install uses.
mkdir -p "$lab/stage/tree/target/release"
cp -r deploy config.toml "$lab/stage/tree/"
cp target/release/paperround "$lab/stage/tree/target/release/"
# The recorded days, moved by whole weeks so that they end today.
python3 tests/package/recent.py "$shared/arxiv" "$lab/stage"

# Everything below is undone by the end of this mount namespace.
export root lab
unshare --mount --propagation private bash -euc '
    mount -t tmpfs tmpfs "$lab/layer"
    mkdir "$lab/layer/upper" "$lab/layer/work" "$lab/layer/root"
    mount -t overlay overlay -o "lowerdir=$root,upperdir=$lab/layer/upper,workdir=$lab/layer/work" "$lab/layer/root"
    cd "$lab/layer/root"
    : > etc/machine-id
    echo paperround-test > etc/hostname
    printf "127.0.0.1 localhost paperround-test\n" > etc/hosts
    printf "[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/bin/bash /stage/guest.sh\nTimeoutStartSec=1200\nExecStopPost=/bin/systemctl poweroff --no-block\n" > etc/systemd/system/guest.service
    mkdir -p etc/systemd/system/multi-user.target.wants
    ln -s ../guest.service etc/systemd/system/multi-user.target.wants/guest.service
    ln -sf /dev/null etc/systemd/system/postfix.service
    timeout 1300 systemd-nspawn --quiet --directory="$lab/layer/root" --boot --register=no --keep-unit --private-network \
        --machine=paperround-test --bind-ro="$lab/stage:/stage" --bind="$lab/out:/out" > "$lab/boot.log" 2>&1 < /dev/null
' || echo "the machine ended with an error; see $lab/boot.log"

if [[ ! -e $lab/out/results ]]; then
    echo 'package: the machine did not boot:'
    tail -n 20 "$lab/boot.log"
    exit 77
fi
cat "$lab/out/results"
n_ok=$(grep -c '^ok' "$lab/out/results" || true)
n_failed=$(grep -c '^FAILED' "$lab/out/results" || true)
echo "package: $n_ok claims hold, $n_failed do not"
if (( n_failed > 0 )) || ! grep -q '^end' "$lab/out/results"; then
    tail -n 40 "$lab/out/journal" 2> /dev/null || tail -n 20 "$lab/boot.log"
    exit 1
fi
