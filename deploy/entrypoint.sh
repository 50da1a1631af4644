#!/bin/sh
# The database's password comes as a file; the client library takes it from the environment.
set -eu
if [ -n "${DATABASE_PASSWORD_FILE:-}" ]; then
    PGPASSWORD="$(cat "$DATABASE_PASSWORD_FILE")"
    export PGPASSWORD
fi
exec flywheel "$@"
