#!/usr/bin/env bash
# Builds msimd for another machine. See --help.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"

if [ $# = 0 ] || [ "$1" = --help ]; then
    echo "Usage: cross/build.sh TARGET… [-- further words for cargo build]"
    echo
    echo "Builds target/TARGET/release/msimd. Installs nothing: what is missing is named."
    echo "Several targets that need no zig are built side by side."
    echo
    for target in $(targets); do printf '  %-32s %s\n' "$target" "$(board "$target")"; done
    exit 0
fi

cd "$here/.."
words=()
plain=()
zigged=()
while [ $# != 0 ]; do
    case $1 in
        --) shift && words=("$@") && break ;;
        arm*-musleabihf) zigged+=("$1") ;;
        *) plain+=("$1") ;;
    esac
    shift
done

if [ ${#plain[@]} != 0 ]; then
    (
        aims=()
        for target in "${plain[@]}"; do
            prepare "$target"
            aims+=(--target "$target")
        done
        cargo build --release "${aims[@]}" "${words[@]}"
    )
fi
for target in "${zigged[@]}"; do
    (
        prepare "$target"
        cargo-zigbuild zigbuild --release "${std[@]}" --target "$target" "${words[@]}"
    )
done
for target in "${plain[@]}" "${zigged[@]}"; do
    ls -l "${CARGO_TARGET_DIR:-target}/$target/release/msimd"
done
