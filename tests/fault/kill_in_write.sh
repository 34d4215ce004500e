#!/bin/sh
# P2: killed inside a write, fsync, rename or unlink, at every kind of moment of a study; a write is left half done.
. "$(dirname "$0")/common.sh"
reference

killed=0
call=1
while :; do
    FAULT_AT=$call FAULT_DO=kill LD_PRELOAD=$shim "$fake" --store s --threads 1 --sync 0 --snapshot $((call % 2 * 30)) >/dev/null 2>err.txt
    status=$?
    [ $status -ne 0 ] || break
    [ $status -eq 137 ] || fail "call $call: exit status $status: $(cat err.txt)"
    killed=$((killed + 1))
    # a second kill during the recovery
    FAULT_AT=$((call % 17 + 1)) FAULT_DO=kill LD_PRELOAD=$shim "$fake" --store s >/dev/null 2>err.txt
    "$fake" --store s >/dev/null 2>err.txt || fail "call $call: it does not go on: $(cat err.txt)"
    same s "killed at call $call"
    call=$((call + 1 + call / 10))
done
rm -rf s
[ $killed -ge 30 ] || fail "only $killed kills"
echo "$killed kills inside of calls, the last of call $call"
