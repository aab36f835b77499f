-- ---
-- owner: delivery
-- cron: 0 6 * * 1-5 Europe/Berlin
-- key: [organization, project, definition_id]
-- keep: 2d
-- new: notify("delivery", "{project}: the pipeline {definition} takes {minutes_now} min, where it took {minutes_before} min in the month before")
-- resolved: notify("delivery", "{project}: the pipeline {definition} is as fast as before")
-- why: Pipelines get slower by a minute a week, and no single week is worth a complaint.
-- ---
WITH told AS (
  SELECT tenant, organization, project, definition_id, definition, finish_time,
    CAST(CAST(finish_time AS BIGINT) - CAST(start_time AS BIGINT) AS DOUBLE) / 60000000 AS minutes
  FROM ado_build
  WHERE status = 'completed' AND result = 'succeeded' AND start_time IS NOT NULL AND finish_time >= $now - INTERVAL '35 days'
), split AS (
  SELECT tenant, organization, project, definition_id, max(definition) AS definition,
    count(*) FILTER (WHERE finish_time >= $now - INTERVAL '7 days') AS builds_now,
    count(*) FILTER (WHERE finish_time < $now - INTERVAL '7 days') AS builds_before,
    median(minutes) FILTER (WHERE finish_time >= $now - INTERVAL '7 days') AS now_minutes,
    median(minutes) FILTER (WHERE finish_time < $now - INTERVAL '7 days') AS before_minutes
  FROM told
  GROUP BY tenant, organization, project, definition_id
)
SELECT tenant, organization, project, definition_id, definition, round(now_minutes, 1) AS minutes_now,
  round(before_minutes, 1) AS minutes_before, builds_now
FROM split
WHERE builds_now >= 5 AND builds_before >= 5 AND now_minutes > 1.5 * before_minutes AND now_minutes - before_minutes >= 2
