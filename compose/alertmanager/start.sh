#!/bin/sh
# Put the configuration together and be the Alertmanager, in the upstream image and in
# Debian's.  The addresses and keys of the receivers stay in their files: they are secrets.
set -eu
configuration=/tmp/alertmanager.yml
cat /etc/alertmanager/alertmanager.yml >"$configuration"
# given NAME FILE: add what tells a receiver of this kind, where its secret is not empty.
given() {
    if [ -n "$(cat "/run/secrets/$1" 2>/dev/null)" ]; then
        cat "/etc/alertmanager/$2" >>"$configuration"
    fi
}
given alert_webhook_url webhook.yml
given alert_slack_url slack.yml
given alert_pagerduty_key pagerduty.yml
sed -i "s|PAGERDUTY_URL|${ALERT_PAGERDUTY_URL:-https://events.pagerduty.com/v2/enqueue}|" "$configuration"
exec sh /etc/run-first.sh alertmanager prometheus-alertmanager -- \
    --config.file="$configuration" "$@"
