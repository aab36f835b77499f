WITH counted AS (
  SELECT tenant, scorecard, entity,
    first_value(level_below ORDER BY level_order) FILTER (WHERE result IN ('fail', 'unknown')) AS held_at,
    count(*) FILTER (WHERE result = 'pass') AS passed,
    count(*) FILTER (WHERE result = 'fail') AS failed,
    count(*) FILTER (WHERE result = 'unknown') AS not_known,
    count(*) FILTER (WHERE result = 'exempt') AS exempt,
    sum(weight) FILTER (WHERE result = 'pass') AS weight_passed,
    sum(weight) FILTER (WHERE result IN ('pass', 'fail', 'unknown')) AS weight
  FROM score_check
  GROUP BY tenant, scorecard, entity
)
SELECT
  e.tenant, -- Whose it is.
  e.scorecard, -- The scorecard.
  e.entity, -- Who is scored.
  e.entity_kind, -- What that is, in one word.
  e.title, -- Its name for people.
  e.owner, -- Who answers for it.
  coalesce(c.held_at, e.top_level) AS level, -- The highest level up to which every check that applies passes.
  100 * CAST(coalesce(c.weight_passed, 0) AS DOUBLE) / nullif(c.weight, 0) AS score_percent, -- What part of the checks that apply passes, by weight; null where none applies.
  coalesce(c.passed, 0) AS passed, -- Checks that pass.
  coalesce(c.failed, 0) AS failed, -- Checks that fail.
  coalesce(c.not_known, 0) AS unknown, -- Checks that nobody can answer; they do not count as passed.
  coalesce(c.exempt, 0) AS exempt, -- Checks that it need not pass for now.
  e.level_last_change, -- Since when evaluations see it at its level.
  e.since -- When it was seen first.
FROM score_entity e
LEFT JOIN counted c ON c.tenant = e.tenant AND c.scorecard = e.scorecard AND c.entity = e.entity
