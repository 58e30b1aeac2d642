#!/bin/bash
# Run once by the PostgreSQL image, on an empty data folder: a role and databases for each part, none of which can read
# another's. The data keys lie in a database of their own, so that no dump of the store holds them.
set -euo pipefail

database() { # role, database, where the password lies
  psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set role="$1" --set database="$2" --set password="$(cat "$3")" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'role', :'password')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'role') \gexec
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', :'database') \gexec
SQL
}

secrets=${SECRETS:-/run/secrets}
database termins termins "$secrets/termins_password"
database termins_keys termins_keys "$secrets/termins_keys_password"
database temporal temporal "$secrets/temporal_password"
database temporal temporal_visibility "$secrets/temporal_password"
