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

# More than five seconds each under qemu, for what no processor does differently.
slow=(
    domain::chat::tests::a_page_of_chats_ends_where_too_many_are_in_them
    domain::member::tests::owners::there_is_always_exactly_one_owner
    domain::member::tests::table::every_letter_allows_what_the_table_says
    domain::read::tests::a_page_has_a_cap
    domain::read::tests::rewind_is_every_chat
    domain::request::tests::strangers_fill_nobodys_list
    engine::tests::messages_are_merged_when_nobody_waits
    store::backend::tests::a_header_garbled_in_flight
    store::roster::tests::rosters_that_grow
    store::tests::changing::edits_and_deletions_come_to_the_same
    store::tests::chats::a_cookie_is_known_for_a_thousand_messages
    store::tests::chats::a_lone_send_is_one_sync
    store::tests::chats::an_implied_mark_is_written
    store::tests::cuts::nothing_told_is_lost
    store::tests::gone::what_is_removed_while_a_walk
    store::tests::gone::what_lies_below_a_floor
    store::tests::groups::a_message_to_a_thousand
    store::tests::keeping::a_backup_is_a_smaller_database
    store::tests::keeping::a_flipped_bit_anywhere
    store::tests::merging::every_question_has_the_same_answer
    store::tests::merging::no_more_wait_than_there_may
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
