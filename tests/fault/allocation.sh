#!/bin/sh
# Nothing is allocated in the training loop: from the first training step of an interval to its last one no thread
# that trains calls malloc, calloc, realloc, free or their like, nor mmap.
. "$(dirname "$0")/common.sh"
counted=$programs/fault_fake_counted
[ -x "$counted" ] || { echo "skipped: the sanitizers' allocator cannot be counted"; exit 77; }
for threads in 1 2; do
    "$counted" --store "s$threads" --threads $threads --sync 0 --snapshot 0 >out.txt 2>err.txt || fail "$(cat err.txt)"
    grep -q '^intervals: 3[0-9][0-9]$' err.txt || fail "intervals were not counted: $(cat err.txt)"
    grep -q '^calls within: 0$' err.txt || fail "$threads threads: $(grep '^calls' err.txt)"
    calls=$(sed -n 's/^calls in all: //p' err.txt)
    [ "$calls" -gt 100 ] || fail "the counter sees no calls at all: $calls"
done
