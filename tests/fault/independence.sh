#!/bin/sh
# P1: waves of 1, 3 and 16 trials on 1, 2 and 3 threads give bitwise the same study; trials alone the same metrics.
. "$(dirname "$0")/common.sh"
reference
for wave in 1 3 16; do
    for threads in 1 2 3; do
        "$fake" --store s --wave $wave --threads $threads --sync 0.0$threads >/dev/null 2>err.txt || fail "$(cat err.txt)"
        same s "wave $wave, $threads threads"
    done
done

# the same numbers of a trial alone: those of its last evaluation
for trial in 0 3 10 21; do
    "$fake" train --trial $trial --json --checkpoint t.safetensors >alone.json 2>err.txt || fail "$(cat err.txt)"
    "$fake" show $trial --store reference --json >swept.json
    for name in loss error largest; do
        a=$(grep "valid.$name" alone.json | tail -1 | tr -d ' ,')
        b=$(grep "valid.$name" swept.json | tail -1 | tr -d ' ,')
        [ "$a" = "$b" ] || fail "trial $trial alone has $a, in the study $b"
    done
done

# the kept checkpoints evaluate to what the table says
for file in reference/checkpoints/*; do
    "$fake" eval --checkpoint "$file" --split valid --json >eval.json || fail "eval of $file"
    value=$(grep valid.loss eval.json | tr -d ' ,')
    tr -d '\000' <"$file" | grep -a -o '"value":"[^"]*"' >note.txt
    [ "\"valid.loss\":$(cut -d'"' -f4 note.txt)" = "$value" ] || {
        # 17 digits may be written in two ways: compare as numbers
        awk -v a="$(cut -d'"' -f4 note.txt)" -v b="${value#*:}" 'BEGIN { exit !(a + 0 == b + 0) }' ||
            fail "$file: $(cat note.txt), evaluated $value"
    }
done
