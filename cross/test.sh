#!/usr/bin/env bash
# Runs the tests of the library built for another machine, under qemu: those that are quick there,
# or the ones that are named.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=cross/targets.sh
. "$here/targets.sh"

if [ $# = 0 ] || [ "$1" = --help ]; then
    echo "Usage: cross/test.sh TARGET… [-- words for the test runner]"
    echo "Without further words the slow tests, which qemu makes minutes of, are left out."
    exit 0
fi

# What searches a large space for what no processor does differently.
slow=(
    domain::member::tests::owners::there_is_always_exactly_one_owner
    domain::member::tests::table::every_letter_allows_what_the_table_says
    engine::tests::messages_are_merged_when_nobody_waits
    store::roster::tests::rosters_that_grow
    store::tests::changing::edits_and_deletions_come_to_the_same
    store::tests::chats::a_lone_send_is_one_sync
    store::tests::cuts::nothing_told_is_lost
    store::tests::keeping::a_flipped_bit_anywhere
    store::tests::merging::every_question_has_the_same_answer
    store::tests::merging::readers_never_see_a_hole
)
words=()
for name in "${slow[@]}"; do words+=(--skip "$name"); done

cd "$here/.."
aims=()
while [ $# != 0 ]; do
    case $1 in
        --) shift && words=("$@") && break ;;
        *)
            prepare "$1"
            [ "${cargo[0]}" = cargo ] || missing "tests are run for targets that need no zig"
            read -r qemu _ <<< "$(runner "$1")"
            need "$qemu" "apt-get install qemu-user-static"
            aims+=(--target "$1")
            shift
            ;;
    esac
done
cargo test --lib "${aims[@]}" -- "${words[@]}"
