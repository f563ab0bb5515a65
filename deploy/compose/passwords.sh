#!/bin/sh
# Runs when the database is set up: makes the roles, and gives all of them one password, which is enough to look at it.
set -eu

psql --set=ON_ERROR_STOP=1 --username=postgres --dbname=shop --file=/roles/roles.sql
psql --set=ON_ERROR_STOP=1 --username=postgres --dbname=shop --set=password="$PUPWASM_PASSWORD" <<'SQL'
ALTER ROLE pupwasm_migrator PASSWORD :'password';
ALTER ROLE pupwasm_writer PASSWORD :'password';
ALTER ROLE pupwasm_host PASSWORD :'password';
ALTER ROLE pupwasm_reader PASSWORD :'password';
ALTER ROLE pupwasm_follower PASSWORD :'password';
-- Hosts make the schemas of projections themselves: see PUPWASM_ISOLATION.
GRANT CREATE ON DATABASE shop TO pupwasm_host;
SQL
