#!/usr/bin/env bash
# Makes the Debian package of what was built. Usage: packaging/deb.sh [TARGET]; without one, of this
# machine's own release build. Prints where it lies. Needs cargo-deb.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo deb --version > /dev/null 2>&1 || {
    echo "cargo-deb is missing: cargo install --locked cargo-deb" >&2
    exit 3
}
aim=()
if [ $# != 0 ]; then aim=(--target "$1"); fi
# The release profile has stripped it already.
cargo deb --no-build --no-strip "${aim[@]}"
