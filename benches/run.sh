#!/usr/bin/env bash
# Measures msimd beside every other server that is installed: see benches/README.md.
#
#     benches/run.sh                    everything, about an hour with all of them
#     benches/run.sh --quick            less than a minute: that it still works
#     benches/run.sh --peer mosquitto --peer msimd --only send
#     benches/run.sh --publish docs/performance.md
#
# The table goes to standard output and to target/bench/table.md, the same as JSON to
# target/bench/table.json. Options are those of the load program: benches/run.sh --help.
set -euo pipefail
cd "$(dirname "$0")/.."
# BUILD=debug is for trying the load program itself; figures need release. MSIMD=FILE measures a
# binary that is there already.
case ${BUILD:-release} in
    release) flags=(--release) ;;
    debug) flags=() ;;
    *) echo "BUILD is release or debug" >&2; exit 2 ;;
esac
[ -n "${MSIMD:-}" ] || flags+=(--bin msimd)
cargo build --quiet "${flags[@]}" --example load
out=${CARGO_TARGET_DIR:-target}/${BUILD:-release}
# A directory above may be another's repository.
about=()
if [ "$(git rev-parse --show-toplevel 2> /dev/null)" = "$(pwd -P)" ] \
    && commit=$(git describe --always --dirty=" with changes" --exclude '*' 2> /dev/null); then
    about=(--commit "$commit")
fi
mkdir -p target/bench
exec "$out/examples/load" --msimd "${MSIMD:-$out/msimd}" --peers benches/peers "${about[@]}" \
    --markdown target/bench/table.md --json target/bench/table.json "$@"
