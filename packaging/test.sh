#!/usr/bin/env bash
# Installs a package of this machine's own architecture, uses, upgrades, removes and purges it, in
# a root of its own: this machine's, with every change in memory and thrown away at the end.
# Usage: packaging/test.sh FILE.deb; needs root. Ends with 77 where no such root can be had.
set -euo pipefail
# shellcheck source=packaging/scratch.sh
. "$(dirname "$0")/scratch.sh"

if [ "${MSIMD_ROOM:-}" = "" ]; then
    room=$(mktemp -d)
    trap 'rmdir "$room"' EXIT
    unshare --mount --pid --fork --kill-child true 2> /dev/null \
        || skip "no name spaces can be had here"
    # Its mounts go with it, and so do its processes.
    MSIMD_ROOM=$room unshare --mount --pid --fork --kill-child "$0" "$(realpath "$1")"
    exit
fi

make_root "$MSIMD_ROOM"
root=$MSIMD_ROOM/root
cp "$1" "$root/msimd.deb"

clean=(chroot "$root" /usr/bin/env -i "PATH=/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8)
in_root() { "${clean[@]}" "$@"; }
fail() {
    echo "package: $*" >&2
    if [ -s "$root/serve.err" ]; then cat "$root/serve.err" >&2; fi
    exit 1
}
server=
start() {
    : > "$root/serve.out"
    # Without a shell between, which would take the signals for itself.
    "${clean[@]}" setpriv --reuid msimd --regid msimd --clear-groups \
        /usr/bin/msimd serve --config /etc/msimd.toml > "$root/serve.out" 2> "$root/serve.err" &
    server=$!
    for _ in $(seq 100); do
        if grep -q 'Ctrl-C stops it' "$root/serve.out"; then return; fi
        kill -0 "$server" 2> /dev/null || fail "the server ended at once"
        sleep 0.1
    done
    fail "the server does not come up"
}
stop() {
    kill -TERM "$server"
    wait "$server" || fail "the server did not stop in order"
}

echo "package: installed"
in_root dpkg --install /msimd.deb
[ -x "$root/usr/bin/msimd" ] || fail "no binary"
[ "$(in_root stat -c '%U %a' /var/lib/msimd)" = "msimd 700" ] || fail "no directory for its data"
in_root /usr/bin/msimd config check --config /etc/msimd.toml
# Ports that are free, whatever runs beside.
printf '[listen]\ntcp = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\nline = "127.0.0.1:0"\n' \
    >> "$root/etc/msimd.toml"

echo "package: used"
start
echo "a secret" | in_root /usr/bin/msimd user add alice
in_root /usr/bin/msimd status
stop

echo "package: upgraded, with a configuration that was changed"
in_root dpkg --force-confdef --force-confold --install /msimd.deb < /dev/null
grep -q '127.0.0.1:0' "$root/etc/msimd.toml" || fail "the upgrade lost the configuration"
start
in_root /usr/bin/msimd user list | grep -q alice || fail "alice is gone"
stop

echo "package: removed"
in_root dpkg --remove msimd
[ ! -e "$root/usr/bin/msimd" ] || fail "the binary is still there"
[ -s "$root/var/lib/msimd/msimd.redb" ] || fail "removing took the data"
[ -s "$root/etc/msimd.toml" ] || fail "removing took the configuration"

echo "package: purged, without a word about the data"
in_root dpkg --purge msimd
[ ! -e "$root/etc/msimd.toml" ] || fail "purging left the configuration"
[ -s "$root/var/lib/msimd/msimd.redb" ] || fail "purging took the data unasked"

# purge_at_terminal ANSWER
purge_at_terminal() {
    printf '%s\n' "$1" | script -qec "${clean[*]} dpkg --purge msimd" /dev/null
}

echo "package: purged at a terminal, which is asked and says no"
in_root dpkg --install /msimd.deb
purge_at_terminal n | grep -q 'for good?' || fail "nobody was asked"
[ -s "$root/var/lib/msimd/msimd.redb" ] || fail "purging took the data against the answer"

echo "package: installed again, it knows everything; purged with its data"
in_root dpkg --install /msimd.deb
in_root /usr/bin/msimd user list | grep -q alice || fail "alice is gone"
in_root MSIMD_PURGE_DATA=yes dpkg --purge msimd
[ ! -e "$root/var/lib/msimd" ] || fail "the data is still there"
! in_root getent passwd msimd > /dev/null || fail "the user is still there"

echo "package: purged at a terminal, which says yes"
in_root dpkg --install /msimd.deb
[ -d "$root/var/lib/msimd" ] || fail "there is no directory for data"
purge_at_terminal yes > /dev/null
[ ! -e "$root/var/lib/msimd" ] || fail "the data is still there against the answer"
echo "package: all is well"
