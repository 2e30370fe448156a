#!/usr/bin/env bash
# The smoke test with a msimd that cross/build.sh built, under qemu.
# Usage: cross/smoke.sh TARGET
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"

read -r -a words <<< "$(runner "$1")"
need "${words[0]}" "apt-get install qemu-user-static"
binary=$(realpath "${CARGO_TARGET_DIR:-$here/../target}/$1/release/msimd")
# A program of its own, which becomes qemu: signals and exit codes are the server's.
wrapper=$(mktemp -d)/msimd
trap 'rm -rf "$(dirname "$wrapper")"' EXIT
printf '#!/bin/sh\nexec %s %s "$@"\n' "${words[*]}" "$binary" > "$wrapper"
chmod +x "$wrapper"
"$here/../.ci/smoke" "$wrapper"
