#!/usr/bin/env bash
# Boots systemd in a root of its own with a package installed, and sees there that the service
# runs as confined as its unit says, is restarted when it is stuck, and takes its sockets.
# Usage: packaging/boot.sh FILE.deb; needs root. Ends with 77 where that cannot be had.
set -euo pipefail
# shellcheck source=packaging/scratch.sh
. "$(dirname "$0")/scratch.sh"

if [ "${MSIMD_ROOM:-}" = "" ]; then
    groups=$(findmnt --noheadings --output TARGET --types cgroup2 | head -n 1)
    [ -n "$groups" ] || skip "there are no control groups of version 2"
    room=$(mktemp -d)
    told=$(mktemp -d)
    # Everything that systemd makes of control groups is below one that goes with it.
    group=$groups/msimd-boot.$$
    mkdir "$group" 2> /dev/null || skip "no control group can be made here"
    # shellcheck disable=SC2317 # The trap calls it.
    clean_up() {
        # Those who were in it may need a moment to be gone.
        for _ in $(seq 50); do
            find "$group" -depth -type d -exec rmdir {} + 2> /dev/null && break
            sleep 0.1
        done
        rm -rf "$told"
        rmdir "$room"
    }
    trap clean_up EXIT
    apart=(unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net)
    "${apart[@]}" true 2> /dev/null || skip "no name spaces can be had here"
    # shellcheck disable=SC2016 # It is the inner shell's.
    MSIMD_ROOM=$room MSIMD_TOLD=$told timeout 120 \
        sh -c 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$group" \
        "${apart[@]}" "$0" "$(realpath "$1")" > "$told/boot" 2>&1 || true
    [ -s "$told/said" ] || { tail -n 5 "$told/boot" && skip "systemd does not boot here"; }
    cat "$told/said"
    if ! grep -q '^boot: all is well$' "$told/said"; then
        echo "--- what systemd said" && tail -n 50 "$told/boot"
        exit 1
    fi
    exit
fi

make_root "$MSIMD_ROOM"
root=$MSIMD_ROOM/root
cp "$1" "$root/msimd.deb"
chroot "$root" dpkg --install /msimd.deb
mkdir "$root/told"
mount --bind "$MSIMD_TOLD" "$root/told"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"

cat > "$root/probe" << 'END'
#!/bin/bash
set -euo pipefail
fail() {
    echo "boot: $*"
    systemctl --no-pager --full status msimd.service msimd.socket || true
    journalctl --no-pager --lines 40 || true
    exit 1
}
# comes TO COMMAND…: within half a minute.
comes() {
    local what=$1
    shift
    for _ in $(seq 150); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.2
    done
    fail "$what does not come"
}
value() { systemctl show --property "$1" --value msimd.service; }
hello() { curl -sSf --max-time 30 -d '{}' http://127.0.0.1:3218/v3/HELLO; }

echo "boot: systemd is up"
systemctl is-active --quiet msimd.service || fail "the service was not started"
[ "$(value StatusText)" = "serves localhost" ] || fail "it has not said that it serves"
hello > /dev/null || fail "no answer"
echo "a secret" | msimd user add alice

echo "boot: it has its own user, no capability, and a filter of system calls"
state=/proc/$(value MainPID)/status
grep -q "^Uid:.*[[:space:]]$(id -u msimd)$" "$state" || fail "another user"
grep -q '^CapEff:[[:space:]]*0*$' "$state" || fail "it has capabilities"
grep -q '^Seccomp:[[:space:]]*2$' "$state" || fail "it has no filter"

echo "boot: read again without a restart"
systemctl reload msimd.service
comes "the end of the reload" grep -q 'read again' <(journalctl --unit msimd.service)
systemctl is-active --quiet msimd.service || fail "the reload ended it"

echo "boot: restarted when it is stuck"
mkdir -p /run/systemd/system/msimd.service.d
printf '[Service]\nWatchdogSec=2s\nRestartSec=100ms\n' > /run/systemd/system/msimd.service.d/short.conf
systemctl daemon-reload
systemctl restart msimd.service
stuck=$(value MainPID)
kill -STOP "$stuck"
restarted() { [ "$(value NRestarts)" = 1 ] && systemctl is-active --quiet msimd.service; }
comes "the restart" restarted
[ "$(value MainPID)" != "$stuck" ] || fail "it is still the stuck one"
# Fed, it stays.
sleep 5
[ "$(value NRestarts)" = 1 ] || fail "a server that is well was restarted"
msimd user list | grep -q alice || fail "alice is gone"

echo "boot: started by its sockets, which stay open over a restart"
systemctl stop msimd.service
! hello 2> /dev/null || fail "it was not stopped"
systemctl start msimd.socket
hello > /dev/null || fail "no answer over a socket of systemd"
systemctl is-active --quiet msimd.service || fail "the socket did not start it"
systemctl restart msimd.service &
for _ in $(seq 20); do hello > /dev/null || fail "a call in the midst of a restart was lost"; done
wait
echo "boot: all is well"
END
chmod +x "$root/probe"
cat > "$root/etc/systemd/system/probe.service" << 'END'
[Unit]
Wants=msimd.service systemd-journald.service
After=msimd.service systemd-journald.service
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
StandardOutput=file:/told/said
StandardError=file:/told/said
ExecStart=/probe
END
mkdir "$root/old"
cd "$root"
# Not chroot: what is started from there could have no user name space of its own.
pivot_root . old
cd /
umount --lazy /old
exec /usr/bin/env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=probe.service --log-target=console
