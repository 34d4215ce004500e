#!/bin/sh
# Gets the data of the examples: MNIST, as the two files that mnist.tune reads.
#
#     examples/get-data.sh [--to DIR]               fetch the 60,000 training images with curl or wget
#     examples/get-data.sh --from DIR [--to DIR]    take them, or the 10,000 test images, from a directory; no network
#
# --to is data/mnist by default. Then:  mnist --data data/mnist
#
# Where the set is had: https://storage.googleapis.com/cvdf-datasets/mnist/ and
# https://ossci-datasets.s3.amazonaws.com/mnist/ have the four files of Y. LeCun, C. Cortes and C. Burges.
# Each file is checked before it gets its name. The sums are those of the contents, since packing the same bytes
# again changes a .gz file.
set -eu

mirrors='https://storage.googleapis.com/cvdf-datasets/mnist https://ossci-datasets.s3.amazonaws.com/mnist'
to=data/mnist
from=

fail() {
    echo "get-data.sh: $1" >&2
    exit 1
}

# The name that contents with this sum have in the full set; nothing when they are not of it.
name_of_sum() {
    case $1 in
    ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db) echo train-images ;;
    65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5) echo train-labels ;;
    0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7) echo test-images ;;
    ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2) echo test-labels ;;
    esac
}

# Prints which file of the set "$1" is; "$2" is what messages call it.
identify() {
    gzip -t "$1" 2>/dev/null || fail "the file of the $2 is not a sound gzip file; fetch it again"
    sum=$(gzip -dc "$1" | sha256sum)
    name=$(name_of_sum "${sum%% *}")
    [ -n "$name" ] || fail "the file of the $2 is not one of MNIST: the sha256 of its contents is ${sum%% *}"
    echo "$name"
}

fetch() { # URL FILE
    if command -v curl >/dev/null; then
        curl -fsSL --retry 2 -o "$2" "$1"
    elif command -v wget >/dev/null; then
        wget -q -O "$2" "$1"
    else
        fail "neither curl nor wget is installed; fetch the files otherwise and use --from DIR"
    fi
}

fetch_from_mirrors() { # NAME FILE
    for mirror in $mirrors; do
        echo "fetching $mirror/$1"
        fetch "$mirror/$1" "$2" && return
    done
    fail "no mirror gave '$1'; fetch it otherwise and use --from DIR"
}

# The first of the names that "$from" has.
find_file() {
    for name in "$@"; do
        [ -f "$from/$name" ] && echo "$from/$name" && return
    done
    fail "'$from' has none of: $*"
}

while [ $# -gt 0 ]; do
    case $1 in
    --from | --to)
        [ $# -ge 2 ] || fail "$1 needs a directory"
        [ "$1" = --to ] && to=$2 || from=$2
        shift 2
        ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) fail "unknown argument '$1'; try --help" ;;
    esac
done

mkdir -p "$to"
new=$to/new.$$
trap 'rm -f "$new.images" "$new.labels"' EXIT
trap 'exit 130' INT TERM
for part in images labels; do
    [ $part = images ] && file='images-idx3-ubyte.gz' || file='labels-idx1-ubyte.gz'
    if [ -n "$from" ]; then
        source=$(find_file "$file" "train-$file" "t10k-$file")
        cp "$source" "$new.$part"
    else
        fetch_from_mirrors "train-$file" "$new.$part"
    fi
done
images=$(identify "$new.images" images)
labels=$(identify "$new.labels" labels)
case "$images $labels" in
'train-images train-labels') examples=60,000 ;;
'test-images test-labels') examples=10,000 ;;
*) fail "the images are those of '$images', but the labels are those of '$labels'" ;;
esac
chmod 644 "$new.images" "$new.labels"
mv "$new.images" "$to/images-idx3-ubyte.gz"
mv "$new.labels" "$to/labels-idx1-ubyte.gz"
echo "$to: $examples images and labels, checked"
