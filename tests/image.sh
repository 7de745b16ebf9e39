#!/usr/bin/env bash
# What deploy/Dockerfile says, without Docker: a folder with nothing but the Debian packages that its base image consists
# of, the files that it copies, its environment and its user; in it the program checks a configuration, makes a run, and
# serves until SIGTERM.
#
# Needs root and Debian 12's packages; target/release/paperround must have been built. Exit status 77: they cannot be had.
# It does not show that the base image still bears its name, nor what a registry delivers under it.
set -euo pipefail
cd "$(dirname "$0")/.."

image=$PWD/target/ci/image
recipe=deploy/Dockerfile
# What distroless "cc" is made of, as far as a program sees it.
packages=(libc6 libgcc-s1 libssl3 ca-certificates tzdata netbase base-files)

fail() {
    echo "image: $*"
    exit 1
}
if [[ $(id -u) != 0 ]] || ! grep -q '^VERSION_ID="12"' /etc/os-release; then
    echo 'image: this is not root on Debian 12, whose packages the base image consists of'
    exit 77
fi

rm -rf "$image"
mkdir -p "$image/packages" "$image/tree"
(cd "$image/packages" && apt-get download --quiet=2 "${packages[@]}" > /dev/null 2>&1) || {
    echo 'image: no packages could be had'
    exit 77
}
for package in "$image"/packages/*.deb; do
    dpkg-deb --extract "$package" "$image/tree"
done
# Debian makes the bundle at installation, the image when it is built.
mkdir -p "$image/tree/etc/ssl/certs" "$image/tree/tmp"
find "$image/tree/usr/share/ca-certificates" -name '*.crt' -exec cat {} + > "$image/tree/etc/ssl/certs/ca-certificates.crt"
chmod 1777 "$image/tree/tmp"
printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' > "$image/tree/etc/passwd"
rm -f "$image/tree/bin/sh" "$image/tree/bin/bash"

# The recipe line by line; what is not known here is an error, so that nothing in it goes untried.
environment=() volume='' user='' entry='' arguments=''
while read -r word rest; do
    case $word in
        '' | '#'*) ;;
        FROM) [[ $rest == gcr.io/distroless/cc-debian12:nonroot ]] || fail "another base image: $rest" ;;
        COPY)
            read -ra files <<< "$rest"
            target=$image/tree${files[-1]}
            unset 'files[-1]'
            if [[ $target == */ ]]; then mkdir -p "$target"; else mkdir -p "${target%/*}"; fi
            cp "${files[@]}" "$target" || fail "COPY $rest"
            ;;
        ENV) read -ra environment <<< "$rest" ;;
        VOLUME) volume=$rest ;;
        USER) user=$rest ;;
        STOPSIGNAL) [[ $rest == SIGTERM ]] || fail "another signal: $rest" ;;
        ENTRYPOINT) entry=$(python3 -c 'import json, sys; print(*json.loads(sys.argv[1]))' "$rest") ;;
        CMD) arguments=$(python3 -c 'import json, sys; print(*json.loads(sys.argv[1]))' "$rest") ;;
        *) fail "an instruction that is not tried here: $word" ;;
    esac
done < "$recipe"

mkdir -p "$image/tree$volume" "$image/tree/etc/paperround"
chown "$user" "$image/tree$volume"
# The shipped configuration, which puts its mails into a Maildir in the volume, with an arXiv that nobody answers for.
sed -E 's%^#(api|oai|rss)_url = .*%\1_url = "http://127.0.0.1:9/\1"%' config.toml > "$image/tree/etc/paperround/config.toml"

# The image has no env; this one sets what the recipe sets, and nothing else, and is gone when the program begins.
install -m 755 "$(command -v env)" "$image/tree/set-environment"
inside=(chroot --userspec="$user" "$image/tree" /set-environment --ignore-environment "${environment[@]}")

"${inside[@]}" "$entry" --version
"${inside[@]}" "$entry" check < /dev/null > "$image/check" || fail "check: $(cat "$image/check")"
"${inside[@]}" "$entry" state export > "$image/state.jsonl" || fail 'the state cannot be opened'
# shellcheck disable=SC2086 # The recipe's words.
"${inside[@]}" $entry $arguments > "$image/served" 2>&1 < /dev/null &
served=$!
for ((i = 0; ; i++)); do
    ! grep -q 'serving\|ready' "$image/served" || break
    if ! kill -0 "$served" 2> /dev/null || ((i > 60)); then
        fail "it does not serve: $(cat "$image/served")"
    fi
    sleep 1
done
kill -TERM "$served"
wait "$served" || fail "SIGTERM: exit $?: $(tail -n 5 "$image/served")"
[[ $(stat -c %u "$image/tree$volume/store") == "${user%:*}" ]] || fail 'the state does not belong to the user'
echo 'image: the program checks, opens its state, serves and ends in what the recipe makes'
