# Shared by the fault tests. Arguments of each: directory of the built programs, a directory to work in.
programs=$1
work=$2
fake=$programs/fault_fake
slow=$programs/fault_fake_slow
slower=$programs/fault_fake_slower
changed=$programs/fault_fake_changed
dump=$programs/fault_dump
shim=$programs/libfault_shim.so
ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
export ASAN_OPTIONS
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1

fail() {
    echo "FAILED: $*"
    exit 1
}

# Waits until a study is at work in the store $1.
begun() {
    tries=0
    until "$fake" trials --store "$1" 2>/dev/null | grep -q running; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || fail "the study '$1' does not begin"
        sleep 0.05
    done
}

# Everything that a finished study left, as text: store, names and bytes of the checkpoints, final table.
state() {
    "$dump" "$1/study.sqlite" || fail "the store '$1' cannot be read"
    (cd "$1/checkpoints" && cksum -- *)
    ls "$1" | grep -v -e '-wal$' -e '-shm$'
    "$fake" --store "$1" 2>/dev/null || fail "the finished study '$1' shows no result"
}

# The study without any disturbance: reference.txt
reference() {
    "$fake" --store reference --sync 0 --snapshot 0 >/dev/null 2>reference.err || fail "the undisturbed run failed: $(cat reference.err)"
    state reference >reference.txt
}

same() {
    state "$1" >"$1.txt"
    cmp -s reference.txt "$1.txt" || {
        diff reference.txt "$1.txt" | head -20
        fail "$2: the study differs from the undisturbed one"
    }
    rm -rf "$1" "$1.txt"
}
