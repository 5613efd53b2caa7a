ALTER TABLE usage_hour SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);  -- rows of the current hour are updated by every batch
DO $$ DECLARE event text; BEGIN
  FOREACH event IN ARRAY ARRAY['UPDATE', 'DELETE', 'TRUNCATE'] LOOP
    EXECUTE format('CREATE TRIGGER no_%s BEFORE %s ON call_record FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()', lower(event), event);
  END LOOP;
END $$;
