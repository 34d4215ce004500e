#!/bin/sh
# P5: what a study refuses, and how: in use, another program, other settings, another program's checkpoint, a
# store that vanishes, a directory that cannot be written, wrong flags.
. "$(dirname "$0")/common.sh"
reference

# expect STATUS TEXT COMMAND...
expect() {
    wanted=$1
    text=$2
    shift 2
    "$@" >out.txt 2>err.txt
    status=$?
    [ $status -eq "$wanted" ] || fail "$*: exit status $status, not $wanted: $(cat err.txt)"
    grep -q -e "$text" err.txt || fail "$*: no '$text' in: $(cat err.txt)"
}

"$slower" --store used --threads 1 --sync 0.01 >/dev/null 2>&1 &
first=$!
begun used
expect 1 "is in use by another run, process $first" "$fake" --store used
kill -INT $first
wait $first
[ $? -eq 130 ] || fail "Ctrl-C does not end with status 130"
"$fake" --store used >/dev/null 2>&1
same used "after Ctrl-C"

expect 1 'the program changed since the study' "$changed" --store reference
expect 1 'was run with no --set, not with --set lr=0.1' "$fake" --store reference --set lr=0.1
expect 1 'checkpoint of another program' "$changed" eval --checkpoint "$(ls reference/checkpoints/* | head -1)"
expect 1 'is not a complete safetensors file' "$fake" eval --checkpoint reference.txt
expect 1 'there is no study in' "$fake" trials --store nowhere
expect 1 'was not begun' "$fake" show 99 --store reference
expect 2 "did you mean '--wave'" "$fake" --wav 3
expect 2 "did you mean 'trials'" "$fake" trialls
expect 2 "did you mean 'momentum'" "$fake" train --set momentun=1
expect 2 "its values are: 8, 16" "$fake" train --set batch=9
expect 2 'wants a whole number' "$fake" --threads 0
expect 1 "has no value" "$fake" train --set batch=8

echo 'not a database, but as long as a header of one: it must be refused' >garbage
mkdir bad && cp garbage bad/study.sqlite
expect 1 "cannot .* the study's store" "$fake" --store bad

"$slower" --store gone --sync 0.01 >/dev/null 2>err.txt &
first=$!
begun gone
rm -rf gone
wait $first && fail "a study whose store was removed ended well"
grep -q -e 'was removed or replaced' -e 'No such file' -e 'I/O error' err.txt || fail "store removed: $(cat err.txt)"

as_user=
if [ "$(id -u)" -eq 0 ]; then
    as_user="setpriv --reuid 65534 --regid 65534 --clear-groups"
    $as_user true 2>/dev/null || { echo "read-only directory: skipped, no setpriv"; exit 0; }
fi
mkdir readonly
cp -r reference readonly/done
chmod -R a+rX,a-w readonly
chmod a+rx . "$programs" 2>/dev/null
if $as_user test -x "$fake"; then
    expect 1 'Permission denied' $as_user "$fake" --store readonly/new
    $as_user "$fake" --store readonly/done >out.txt 2>err.txt || fail "finished study, read-only: $(cat err.txt)"
fi
chmod -R u+w readonly
