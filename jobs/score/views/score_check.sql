WITH exempt AS (
  SELECT tenant, scorecard, entity, check_id, max(expires_at) AS exempt_until, max(id) AS exemption
  FROM score_exemption_current WHERE state = 'approved'
  GROUP BY tenant, scorecard, entity, check_id
)
SELECT
  r.tenant, -- Whose it is.
  r.scorecard, -- The scorecard.
  r.entity, -- Who is scored.
  r.check_id, -- The check.
  r.title, -- What it asks.
  r.level, -- Name of its level.
  r.level_order, -- Place of its level, from 1.
  r.level_below, -- The level that whoever fails it has at most.
  r.weight, -- How much it counts.
  CASE WHEN e.exemption IS NOT NULL AND r.result <> 'not_applicable' THEN 'exempt' ELSE r.result END AS result, -- What counts now.
  r.result AS result_found, -- What it says, exemptions aside.
  r.evidence, -- What it was seen by.
  r.observed_at, -- When that was seen.
  r.rule_version, -- Which version of the check says so.
  r.result_last_change, -- Since when it says so.
  e.exemption, -- The exemption that holds.
  e.exempt_until -- Until when.
FROM score_result r
LEFT JOIN exempt e ON e.tenant = r.tenant AND e.scorecard = r.scorecard AND e.entity = r.entity AND e.check_id = r.check_id
