#!/bin/sh
# P5: a full disk and failing calls end with a message and status 1, leave nothing half-written under its final
# name, and lose nothing: with room again the same command finishes the same study.
. "$(dirname "$0")/common.sh"
reference

broken=0
for kind in full error; do
    call=1
    while :; do
        FAULT_AT=$call FAULT_DO=$kind LD_PRELOAD=$shim "$fake" --store s --threads 1 --sync 0 --snapshot 0.01 >/dev/null 2>err.txt
        status=$?
        if [ $status -ne 0 ]; then
            [ $status -eq 1 ] || fail "$kind at call $call: exit status $status: $(cat err.txt)"
            grep -q 'error: ' err.txt || fail "$kind at call $call: no message: $(cat err.txt)"
            broken=$((broken + 1))
        fi
        "$fake" --store s >/dev/null 2>err.txt || fail "$kind at call $call: it does not go on: $(cat err.txt)"
        same s "$kind at call $call"
        # past the end of the calls
        [ $call -lt 700 ] || break
        call=$((call + 1 + call / 6))
    done
done
FAULT_AT=150 FAULT_DO=full LD_PRELOAD=$shim "$fake" --store s --sync 0 >/dev/null 2>err.txt
grep -q 'make room on the disk' err.txt || fail "no help: $(cat err.txt)"
[ $broken -ge 20 ] || fail "only $broken broken runs"
echo "$broken broken runs"
