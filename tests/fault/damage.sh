#!/bin/sh
# P5: stores and checkpoints that were damaged (cut, overwritten, lengthened) end in a message and status 1, or the
# study goes on as if nothing had happened; never in a crash. The ranking stands in the files alone as in the store.
. "$(dirname "$0")/common.sh"
reference

# The command ends well, or with status 1 and a message.
survive() {
    what=$1
    shift
    "$@" >out.txt 2>err.txt
    status=$?
    [ $status -le 1 ] || fail "$what: exit status $status: $(cat err.txt)"
    [ $status -eq 0 ] || grep -q 'error: ' err.txt || fail "$what: no message: $(cat err.txt)"
    [ $status -eq 0 ] || refused=$((refused + 1))
}
refused=0

# ---- the ranking from files alone ----
"$dump" reference/study.sqlite | grep '^checkpoint' | cut -d'|' -f2-4,6 >stored.txt
[ -s stored.txt ] || fail "the store has no ranking"
cp -r reference files
rm -f files/study.sqlite*
"$fake" checkpoints --store files >table.txt 2>err.txt || fail "checkpoints: $(cat err.txt)"
tail -n +2 table.txt | awk '{ print $1 "|" $2 "|" $3 "|" $5 }' >ranked.txt
cmp -s stored.txt ranked.txt || { diff stored.txt ranked.txt; fail "the files give another ranking"; }
"$fake" checkpoints --store files --json | grep -c '"rank"' | grep -qx 3 || fail "checkpoints --json"
echo x >>"files/checkpoints/$(ls files/checkpoints | head -1)"
survive "a longer checkpoint" "$fake" checkpoints --store files
[ $refused -eq 1 ] || fail "a checkpoint with a byte behind its end was ranked"

# ---- the store ----
size=$(wc -c <reference/study.sqlite)
part=0
while [ $part -lt 12 ]; do
    for kind in cut noise; do
        rm -rf s && cp -r reference s
        place=$((size * part / 12))
        if [ $kind = cut ]; then
            head -c $place reference/study.sqlite >s/study.sqlite
        else
            awk -v seed=$part 'BEGIN { srand(seed); for (i = 0; i < 700; i++) printf "%c", 1 + int(rand() * 126) }' |
                dd of=s/study.sqlite bs=1 seek=$place conv=notrunc 2>/dev/null
        fi
        for command in "sweep" "trials" "show 3" "studies" "trials --json"; do
            survive "$kind at $place: $command" "$fake" $command --store s
        done
    done
    part=$((part + 1))
done
[ $refused -ge 10 ] || fail "only $refused damaged stores were noticed"

# ---- checkpoints ----
file=$(ls reference/checkpoints/* | head -1)
size=$(wc -c <"$file")
for bytes in 0 1 7 8 9 100 500 $((size - 100)) $((size - 1)); do
    head -c $bytes "$file" >cut.safetensors
    "$fake" eval --checkpoint cut.safetensors >out.txt 2>err.txt && fail "a checkpoint of $bytes bytes was taken"
    grep -q "not a complete safetensors file" err.txt || fail "$bytes bytes: $(cat err.txt)"
done
{ cat "$file"; printf x; } >long.safetensors
"$fake" eval --checkpoint long.safetensors >out.txt 2>err.txt && fail "a byte behind the end was not noticed"
for change in 's/"trial":"[0-9]/"trial":"x/' 's/"step":"[0-9]/"step":"-/' 's/hyper.lr/hyper.lx/' 's/"batch=8"/"batch=9"/' \
    's/hyper.batch":"[0-9]/hyper.batch":"7/' 's/F32/F64/' 's/dense.bias/dense.bank/' 's/"value"/"vaule"/' 's/tune-check/tune-chuck/'; do
    LC_ALL=C sed "$change" "$file" >changed.safetensors
    cmp -s "$file" changed.safetensors && continue
    survive "$change" "$fake" eval --checkpoint changed.safetensors
done

# A study that kept the file and finds it damaged when it wants to test it.
"$slower" --store half --sync 0 >/dev/null 2>err.txt &
run=$!
begun half
until ls half/checkpoints | grep -q .; do sleep 0.05; done
kill -INT $run
wait $run
for kept in half/checkpoints/*; do head -c 300 "$kept" >x && mv x "$kept"; done
survive "kept checkpoints cut" "$fake" --store half
for kept in half/checkpoints/*; do rm -f "$kept"; done
survive "kept checkpoints gone" "$fake" --store half
head -c 1000 half/snapshot >x 2>/dev/null && mv x half/snapshot
survive "snapshot cut" "$fake" --store half
echo "$refused refusals"
