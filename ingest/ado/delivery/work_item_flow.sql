-- One row per stay of a work item in a state: a revision that keeps the state prolongs the stay.
WITH step AS (
  SELECT tenant, organization, project, work_item_id, work_item_type, state, changed_date, rev, is_deleted,
    lag(state) OVER (PARTITION BY tenant, organization, work_item_id ORDER BY rev) AS state_before
  FROM ado_work_item_revision
), entry AS (
  SELECT * FROM step WHERE state_before IS NULL OR state_before <> state
), stay AS (
  SELECT tenant, organization, project, work_item_id, work_item_type, state, state_before, changed_date AS entered_at,
    lead(changed_date) OVER (PARTITION BY tenant, organization, work_item_id ORDER BY rev) AS left_at,
    lead(state) OVER (PARTITION BY tenant, organization, work_item_id ORDER BY rev) AS state_after,
    row_number() OVER (PARTITION BY tenant, organization, work_item_id ORDER BY rev) AS step_number
  FROM entry
)
SELECT tenant, organization, project, work_item_id, work_item_type, step_number, state_before, state, state_after, entered_at, left_at,
  CASE WHEN entered_at <= left_at
    THEN (CAST(left_at AS BIGINT) - CAST(entered_at AS BIGINT) + 59999999) / 60000000 END AS stay_minutes
FROM stay
