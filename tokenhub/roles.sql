-- What the two roles may do, for the embedded server and for compose.yaml alike. Run by a superuser in the database
-- `tokenhub`, when both roles exist; running it again changes nothing. Grants on tables follow after each `migrate`.

-- the owner: migrations alone
ALTER DATABASE tokenhub OWNER TO tokenhub_owner;
ALTER SCHEMA public OWNER TO tokenhub_owner;

-- the application: may connect and use, not create; PUBLIC is taken out so that nothing reaches it by accident
REVOKE ALL ON DATABASE tokenhub FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE tokenhub TO tokenhub_app;
GRANT USAGE ON SCHEMA public TO tokenhub_app;

-- a stuck statement must free its locks before customers notice
ALTER ROLE tokenhub_app SET lock_timeout = '5s';
ALTER ROLE tokenhub_app SET statement_timeout = '30s';
ALTER ROLE tokenhub_app SET idle_in_transaction_session_timeout = '30s';
