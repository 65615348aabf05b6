# shellcheck shell=bash disable=SC2016
# Shared by the scripts beside it; sourced, never run.

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }

fail() {
    printf 'engine: %s\n' "$1" >&2
    printf '  next: %s\n' "$2" >&2
    exit 1
}

# at_least VERSION WANTED: whether a dotted version is new enough. An empty one is not.
at_least() {
    [[ -n $1 ]] && [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 "$@"
}

# source_of LABEL: where apt of this host finds Debian ("Debian") or its security updates
# ("Debian-Security"); nothing if it has no such source. apt knows which of its sources are
# Debian's own only once it has read their Release files.
source_of() {
    local uri list
    uri=$(apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        awk -v wanted="Debian/$1" '$1 == wanted { print $2; exit }')
    if [[ $uri == mirror+file:* ]]; then # how cloud images name theirs
        list=${uri#mirror+file:}
        uri=$(awk '!/^#/ && NF { print $1; exit }' "/${list##/}")
    fi
    printf '%s\n' "${uri%/}"
}

debian_mirror() {
    local uri
    uri=$(source_of Debian)
    if [[ -z $uri ]]; then
        apt_get update
        uri=$(source_of Debian)
    fi
    [[ -n $uri ]] || fail "no Debian mirror is configured in /etc/apt/sources.list*" \
        "add one, then run this again"
    printf '%s\n' "$uri"
}
