#!/bin/sh
# P2: killed at random moments (a third of the times by Ctrl-C), started again and again: the finished study is
# bitwise the undisturbed one. At least 50 times.
. "$(dirname "$0")/common.sh"
reference

killed=0
stopped=0
round=0
seed=1
while [ $((killed + stopped)) -lt 60 ]; do
    round=$((round + 1))
    [ $round -lt 40 ] || fail "only $killed kills and $stopped stops in $round studies"
    while :; do
        seed=$((seed + 1))
        delay=$(awk "BEGIN { srand($seed); printf \"%.3f\", 0.01 + 0.3 * rand() }")
        wave=$((seed % 5 + 1))
        signal=KILL
        [ $((seed % 3)) -ne 0 ] || signal=INT
        timeout -s $signal "$delay" "$slow" --store s --wave $wave --threads $((seed % 2 + 1)) \
            --sync 0.0$((seed % 4)) --snapshot 0.0$((seed % 7)) >/dev/null 2>err.txt
        status=$?
        case $status in
        0) break ;;
        137) killed=$((killed + 1)) ;;
        124 | 130) stopped=$((stopped + 1)) ;;
        *) fail "exit status $status: $(cat err.txt)" ;;
        esac
        # after many disturbances the study is let go to its end
        [ $((seed % 12)) -ne 0 ] || "$slow" --store s >/dev/null 2>err.txt || fail "$(cat err.txt)"
    done
    same s "round $round"
done
echo "$killed kills and $stopped stops in $round studies"
