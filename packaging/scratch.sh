# shellcheck shell=bash
# A root of its own for trying a package: this machine's, with every change in memory and thrown
# away at the end. Read by test.sh and boot.sh, inside mount and process name spaces of their own.

# Ends a trial that cannot be made here.
skip() {
    echo "skipped: $*"
    exit 77
}

# make_root ROOM: mounts it at ROOM/root.
make_root() {
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$1"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay overlay "$1/root" \
        -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" 2> /dev/null \
        || skip "no overlay can be mounted here"
    mount -t proc proc "$1/root/proc"
    mount -t tmpfs tmpfs "$1/root/run"
    mount -t tmpfs tmpfs "$1/root/tmp"
    # Devices of its own: nothing that is made there is left on this machine.
    mount -t tmpfs tmpfs "$1/root/dev"
    local name kind number
    while read -r name kind number; do
        mknod -m 666 "$1/root/dev/$name" c "$kind" "$number"
    done <<< $'null 1 3\nzero 1 5\nfull 1 7\nrandom 1 8\nurandom 1 9\ntty 5 0'
    ln -s /proc/self/fd "$1/root/dev/fd"
    mkdir "$1/root/dev/shm" "$1/root/dev/mqueue" "$1/root/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/root/dev/pts"
    ln -s pts/ptmx "$1/root/dev/ptmx"
    # Whatever is already there of msimd is not part of it.
    if chroot "$1/root" dpkg -s msimd > /dev/null 2>&1; then
        MSIMD_PURGE_DATA=yes chroot "$1/root" dpkg --purge msimd
    fi
}
