#!/bin/sh
# Makes the table that tabular.tune reads: 6,000 houses with four numbers, two categories and a price with noise.
#
#     examples/make-houses.sh [--to DIR]       writes DIR/houses.csv; DIR is data/houses by default
#
# The same table on every machine: the random numbers are Park and Miller's (1988), which double precision holds exactly.
set -eu

to=data/houses
while [ $# -gt 0 ]; do
    case $1 in
    --to)
        [ $# -ge 2 ] || { echo "make-houses.sh: --to needs a directory" >&2; exit 1; }
        to=$2
        shift 2
        ;;
    -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) echo "make-houses.sh: unknown argument '$1'; try --help" >&2; exit 1 ;;
    esac
done

mkdir -p "$to"
new=$to/new.$$
trap 'rm -f "$new"' EXIT
awk '
function random() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
function normal() { return sqrt(-2 * log(random())) * cos(6.283185307179586 * random()) }
BEGIN {
    seed = 20090611
    split("centre north east south west", district)
    split("1.5 1.1 0.8 1.0 0.9", worth)
    split("gas oil district pump", heating)
    split("0 -12 6 18", extra)
    print "area,rooms,year,distance,district,heating,price"
    for (i = 0; i < 6000; i++) {
        d = 1 + int(5 * random()); h = 1 + int(4 * random())
        area = 40 + 160 * random() ^ 1.5
        rooms = 1 + int(area / 30 + random())
        year = 1900 + int(124 * random())
        distance = (d == 1 ? 2 : 14) * random()
        old = (2024 - year) / 100
        price = area * worth[d] * (3 - 1.2 * old + 0.9 * old * old) / (1 + 0.04 * distance)
        price += extra[h] + 8 * rooms + 15 * normal()
        printf "%.1f,%d,%d,%.2f,%s,%s,%.1f\n", area, rooms, year, distance, district[d], heating[h], price
    }
}' >"$new"
mv "$new" "$to/houses.csv"
echo "$to/houses.csv: 6,000 houses"
