#!/bin/sh
# Make the database on first use, then be the server.  Runs as user postgres, in the
# upstream image and in Debian's; the password comes from a file and goes into no argv.
set -eu
umask 077
password_file=/run/secrets/postgres_password

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ ! -s "$password_file" ]; then
        echo "the secret postgres_password is empty or missing: no database was made" >&2
        exit 1
    fi
    # Under another name until it is whole: an interrupted first start leaves nothing.
    unfinished="$PGDATA.unfinished"
    rm -rf "$unfinished"
    mkdir -p "$(dirname "$PGDATA")"
    # The superuser has no password and is reached over the socket only.
    initdb --pgdata="$unfinished" --username=postgres --auth=peer --data-checksums \
        --encoding=UTF8 --locale=C.UTF-8 --no-instructions
    # shellcheck disable=SC1003  # quotes are doubled, as SQL wants them
    password=$(sed "s/'/''/g" "$password_file")
    # Reached over the socket only; a failing statement must not write the password into the log.
    pg_ctl start --silent --wait --pgdata="$unfinished" --options="-c listen_addresses='' \
        -c unix_socket_directories=/tmp -c log_min_error_statement=panic \
        -c hba_file=/etc/fragrance/pg_hba.conf -c ident_file=/etc/fragrance/pg_ident.conf \
        -c shared_preload_libraries=pg_stat_statements"
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres postgres <<SQL
CREATE ROLE fragrance LOGIN CREATEDB PASSWORD '$password';
GRANT pg_monitor, pg_signal_backend TO fragrance;
CREATE EXTENSION pg_stat_statements;
-- Only a superuser may: in the template, so that databases made later have it too.
\connect template1
CREATE EXTENSION vector;
CREATE DATABASE fragrance OWNER fragrance;
SQL
    password=
    pg_ctl stop --silent --wait --mode=fast --pgdata="$unfinished"
    mv "$unfinished" "$PGDATA"
fi

exec postgres \
    -c listen_addresses='*' \
    -c unix_socket_directories=/tmp \
    -c hba_file=/etc/fragrance/pg_hba.conf \
    -c ident_file=/etc/fragrance/pg_ident.conf \
    -c password_encryption=scram-sha-256 \
    -c max_connections="$MAX_CONNECTIONS" \
    -c shared_buffers="$SHARED_BUFFERS" \
    -c shared_preload_libraries=pg_stat_statements \
    -c pg_stat_statements.track_utility=off \
    -c log_min_duration_statement=1s \
    -c log_lock_waits=on \
    -c log_line_prefix='%m [%p] %q%u@%d '
