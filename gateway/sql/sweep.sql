-- Ends the holds of boots that ended or fell silent: captured at their checkpoint, or released. Safe to run twice at once, and to be
-- late: an admit that raced with the end of its boot is found by the next run, because an ended boot stays ended.
CREATE OR REPLACE FUNCTION sweep_holds(p_silence interval, p_limit int DEFAULT 512, OUT captured int, OUT released int) LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = public, pg_temp SET jit = off AS $$
DECLARE ids uuid[]; wallets bigint[]; costs bigint[]; inputs int[]; outputs int[]; ages int[]; n int;
BEGIN
  -- while the database was down nobody could send a heartbeat: after its start every process gets one full p_silence to be heard again
  UPDATE process_boot SET ended_at = clock_timestamp()
   WHERE ended_at IS NULL AND heartbeat_at < clock_timestamp() - p_silence AND pg_postmaster_start_time() < clock_timestamp() - p_silence;
  SELECT array_agg(x.id), array_agg(x.wallet_id) INTO ids, wallets FROM (
    SELECT h.id, h.wallet_id FROM hold h LEFT JOIN process_boot b ON b.id = h.boot_id
     WHERE h.closed_at IS NULL AND (b.id IS NULL OR b.ended_at IS NOT NULL) LIMIT p_limit) x;
  captured := 0; released := 0;
  IF ids IS NULL THEN RETURN; END IF;
  PERFORM 1 FROM ledger_account a WHERE a.id = ANY (wallets) ORDER BY a.id FOR NO KEY UPDATE;
  SELECT array_agg(h.id), array_agg(h.wallet_id), array_agg(h.checkpoint_nanos), array_agg(h.checkpoint_input_tokens), array_agg(h.checkpoint_output_tokens),
         array_agg(least(extract(epoch FROM clock_timestamp() - h.created_at) * 1000, 2147483647)::int),
         count(*) FILTER (WHERE h.checkpoint_nanos > 0), count(*) FILTER (WHERE h.checkpoint_nanos = 0)
    INTO ids, wallets, costs, inputs, outputs, ages, captured, released FROM hold h WHERE h.id = ANY (ids) AND h.state = 'open';
  IF ids IS NULL THEN RETURN; END IF;
  n := cardinality(ids);
  -- status 598: process lost; outcome 6: gateway.models.Outcome.PROCESS_LOST; flags 4: estimated
  PERFORM settle(ids, wallets, costs, array_fill(598, ARRAY[n]), array_fill(6, ARRAY[n]), inputs, array_fill(0, ARRAY[n]), array_fill(0, ARRAY[n]),
                 outputs, array_fill(0, ARRAY[n]), ages, array_fill(-1, ARRAY[n]), array_fill(4, ARRAY[n]), array_fill(NULL::text, ARRAY[n]));
END $$;
