-- Roles of projections, and their schemas.

-- make_schema makes a schema of a projection, and gives it to the projection's role, for hosts that may not create schemas. It runs as the
-- role that has made the migrations, which may. Who calls it must be a member of the projection's role. The suffix is that of a version,
-- so that a later version needs no new right. 'pupwasm grant' prints what makes it usable.
CREATE FUNCTION {schema}.make_schema(projection text, suffix text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    home name := (SELECT nspname FROM pg_namespace WHERE oid = '{schema}'::regnamespace);
    owner name := home || '__' || projection;
    place name := CASE WHEN home = 'pupwasm' THEN projection ELSE owner END || suffix;
BEGIN
    IF projection !~ '^[a-z][a-z0-9_]{0,29}$' OR projection ~ '__|_$|^pg_' OR suffix !~ '^(__v[1-9][0-9]{0,9}(b[1-9][0-9]{0,5})?)?$'
        OR projection IN ('public', 'information_schema', 'pupwasm') THEN
        RAISE EXCEPTION 'no projection has a schema %', projection || suffix;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = owner AND pg_has_role(session_user, r.oid, 'MEMBER')) THEN
        RAISE EXCEPTION 'role % is not a member of %', session_user, owner;
    END IF;
    EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %I', place, owner);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', place, 'pupwasm: tables of a projection');
END $$;
REVOKE ALL ON FUNCTION {schema}.make_schema FROM PUBLIC;
