#!/bin/sh
# healthcheck.sh PORT PATH: succeed when this container answers 200 there.
# For images of others: small ones have busybox' wget, Debian's have bash and no client.
set -eu
if command -v wget >/dev/null; then
    exec wget -q -T 3 -O /dev/null "http://127.0.0.1:$1$2"
fi
# shellcheck disable=SC2016  # the words are bash's to expand
exec bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" "$2" >&3
    read -r -t 3 _ status _ <&3
    [ "$status" = 200 ]
' probe "$1" "$2"
