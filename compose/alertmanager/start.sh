#!/bin/sh
# Put the configuration together and be the Alertmanager, in the upstream image and in
# Debian's.  The address of the receiver stays in its file: it is a secret.
set -eu
configuration=/tmp/alertmanager.yml
cat /etc/alertmanager/alertmanager.yml >"$configuration"
if [ -n "$(cat /run/secrets/alert_webhook_url)" ]; then
    cat /etc/alertmanager/webhook.yml >>"$configuration"
fi
exec sh /etc/run-first.sh alertmanager prometheus-alertmanager -- \
    --config.file="$configuration" "$@"
