# shellcheck shell=bash
# What each target needs; read by build.sh and test.sh. It installs nothing and changes only the
# environment.

# board TARGET: what runs it, for --help. docs/install.md has the same table with more words.
board() {
    case $1 in
        armv7-unknown-linux-gnueabihf) echo "Raspberry Pi 2, 3, 4, Zero 2 with a 32-bit system" ;;
        aarch64-unknown-linux-gnu) echo "Raspberry Pi 3, 4, 5, Zero 2 with a 64-bit system" ;;
        arm-unknown-linux-musleabihf) echo "Raspberry Pi 1, Zero, Zero W: any system, static" ;;
        armv7-unknown-linux-musleabihf) echo "32-bit ARM routers, older systems: static" ;;
        aarch64-unknown-linux-musl) echo "64-bit ARM routers, older systems: static" ;;
        x86_64-unknown-linux-musl) echo "x86 routers and small servers: static" ;;
        *) return 1 ;;
    esac
}

targets() {
    echo armv7-unknown-linux-gnueabihf aarch64-unknown-linux-gnu arm-unknown-linux-musleabihf \
        armv7-unknown-linux-musleabihf aarch64-unknown-linux-musl x86_64-unknown-linux-musl
}

# runner TARGET: the words that run a program of it here.
runner() {
    case $1 in
        armv7-unknown-linux-gnueabihf) echo qemu-arm-static -L /usr/arm-linux-gnueabihf ;;
        aarch64-unknown-linux-gnu)
            # With arm64's own C library installed, the loader of the one and the library of the
            # other would wait for each other at the first thread.
            if [ -e /lib/ld-linux-aarch64.so.1 ]; then
                echo qemu-aarch64-static
            else
                echo qemu-aarch64-static -L /usr/aarch64-linux-gnu
            fi
            ;;
        aarch64-unknown-linux-musl) echo qemu-aarch64-static ;;
        x86_64-unknown-linux-musl) echo qemu-x86_64-static ;;
        armv7-unknown-linux-musleabihf) echo qemu-arm-static ;;
        # The oldest processor must do.
        arm-unknown-linux-musleabihf) echo qemu-arm-static -cpu arm1176 ;;
        *) return 1 ;;
    esac
}

missing() {
    echo "$*" >&2
    exit 3
}

# need COMMAND HOW: or say in one sentence what is missing.
need() { command -v "$1" > /dev/null || missing "$1 is missing: $2"; }

# has_std TARGET: whether the toolchain in use brings the target's standard library.
has_std() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }

# prepare TARGET: checks that everything is there and sets compiler, linker and runner. Sets
# `cargo` to the command that builds, and `std` to what makes it build the standard library.
# shellcheck disable=SC2034 # build.sh reads it.
prepare() {
    local target=$1 linker=''
    local name=${target//-/_}
    cargo=(cargo)
    std=()
    board "$target" > /dev/null || missing "$target is no target of ours; they are: $(targets)"
    need cargo "install Rust 1.90 or later"
    case $target in
        armv7-unknown-linux-gnueabihf)
            need arm-linux-gnueabihf-gcc "apt-get install gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"
            linker=arm-linux-gnueabihf-gcc
            ;;
        aarch64-unknown-linux-gnu)
            need aarch64-linux-gnu-gcc "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
            linker=aarch64-linux-gnu-gcc
            ;;
        # Rust brings musl itself for these two; a compiler for another C library does for ring's C,
        # which needs no library.
        aarch64-unknown-linux-musl)
            need aarch64-linux-gnu-gcc "apt-get install gcc-aarch64-linux-gnu"
            linker=aarch64-linux-gnu-gcc
            ;;
        x86_64-unknown-linux-musl)
            if [ "$(uname -m)" = x86_64 ]; then linker=gcc; else linker=x86_64-linux-gnu-gcc; fi
            need "$linker" "apt-get install gcc-x86-64-linux-gnu, or gcc on such a machine"
            ;;
        # Not all mirrors have their standard libraries, and Debian's compiler for them takes ARMv7
        # and Thumb for granted: zig brings musl for any ARM, and the rest is built along.
        armv7-unknown-linux-musleabihf | arm-unknown-linux-musleabihf)
            need cargo-zigbuild "pip install cargo-zigbuild 'ziglang<0.16' in a venv, its bin in PATH"
            cargo=(cargo-zigbuild)
            ;;
    esac
    if ! has_std "$target"; then
        local sources
        sources=$(rustc --print sysroot)/lib/rustlib/src/rust/library
        if [ "${cargo[0]}" = cargo ] || [ ! -d "$sources" ]; then
            local how="rustup target add $target"
            if [ "${cargo[0]}" != cargo ]; then how+=", or, where that fails, rustup component add rust-src"; fi
            missing "the standard library of $target is missing: $how"
        fi
        # Stable compilers keep this behind a switch. zig has the start files.
        export RUSTC_BOOTSTRAP=1
        std=("-Zbuild-std=std,panic_unwind")
    fi
    if [ "${cargo[0]}" = cargo-zigbuild ]; then
        export RUSTFLAGS="${RUSTFLAGS:-} -C link-self-contained=no"
    else
        export "CC_$name=$linker"
        export "CARGO_TARGET_${name^^}_LINKER=$linker"
    fi
    export "CARGO_TARGET_${name^^}_RUNNER=$(runner "$target")"
}
