# Sourced by the scripts of this folder: `check WHAT COMMAND…`, `refuse WHAT STATUS TEXT COMMAND…`, `finish`.
set -u
tunec=$1 root=$2
export TUNE_CACHE="${tunec%/*}/nvrtc-cache" # the same kernels are compiled once for all tests
failures=0
rm -rf ./* # the test's own directory

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
# The command succeeds.
check() {
    what=$1
    shift
    "$@" >out.txt 2>err.txt || { fail "$what: exit $?"; cat out.txt err.txt; }
}
# The command ends with this status and says this on stderr.
refuse() {
    what=$1 status=$2 text=$3
    shift 3
    "$@" >out.txt 2>err.txt
    got=$?
    [ "$got" = "$status" ] || { fail "$what: exit $got, expected $status"; cat err.txt; }
    grep -qF -- "$text" err.txt || { fail "$what: does not say '$text'"; cat err.txt; }
}
contains() { # what, text, file
    grep -qF -- "$2" "$3" || { fail "$1: no '$2' in $3"; head -30 "$3"; }
}
finish() {
    [ "$failures" = 0 ] || { echo "$failures failures"; exit 1; }
    exit 0
}
# NAME.tune into NAME, with code for GPUs; without NVRTC the test is skipped. TUNE_CPU: to be carried to that processor.
build_cuda() {
    "$tunec" build "$1.tune" --target cuda --cpu "${TUNE_CPU:-native}" -o "$1" >out.txt 2>err.txt && return
    grep -q NVRTC err.txt && { echo "skipped: $(head -1 err.txt)"; exit 77; }
    fail "build of $1"
    cat err.txt
    finish
}
