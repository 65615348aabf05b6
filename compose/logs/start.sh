#!/bin/sh
# Ship logs, in the upstream image and in Debian's.  The address of the store, with whatever
# opens it, stays out of arguments and of what the engine tells: it is a secret.
set -eu
LOG_STORE_URL=$(cat /run/secrets/log_store_url)
if [ -z "$LOG_STORE_URL" ]; then
    echo "no store is named: write its push address into the secret log_store_url" >&2
    exit 1
fi
export LOG_STORE_URL
# It names the address in each of its complaints; what it says goes through a mask.
rm -f /tmp/said
mkfifo /tmp/said
sed -u "s/url='[^']*'/url='(the secret log_store_url)'/g" </tmp/said >&2 &
exec syslog-ng --foreground --stderr --no-caps \
    --cfgfile=/etc/log-shipper/syslog-ng.conf --persist-file=/positions/persist \
    --pidfile=/tmp/pid --control=/tmp/control 2>/tmp/said
