#!/bin/sh
# Be the server.  Runs as user redis, in the upstream image and in Debian's; the password
# comes from a file and goes into no argv.
set -eu
umask 077
password=$(sed 's/[\\"]/\\&/g' /run/secrets/redis_password)
if [ -z "$password" ]; then
    echo "the secret redis_password is empty: the server was not started" >&2
    exit 1
fi
cat >/tmp/generated.conf <<CONF
requirepass "$password"
maxmemory $MAXMEMORY
CONF
password=
exec redis-server /etc/fragrance/redis.conf
