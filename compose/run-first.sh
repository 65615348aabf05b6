#!/bin/sh
# run-first.sh NAME… -- ARGUMENT…: run the first program of these that is there.
# Upstream images and Debian name the same program differently.
while [ "$#" -gt 0 ] && [ "$1" != -- ]; do
    if [ -z "${program:-}" ] && command -v "$1" >/dev/null; then
        program=$1
    fi
    names="${names:-}$1 "
    shift
done
shift
if [ -z "${program:-}" ]; then
    echo "none of these programs is in this image: $names" >&2
    exit 127
fi
exec "$program" "$@"
