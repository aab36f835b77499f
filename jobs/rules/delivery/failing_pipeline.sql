-- ---
-- owner: delivery
-- every: 5m
-- key: [organization, project, definition_id, source_branch]
-- new: notify("delivery", "{project}: the pipeline {definition} failed three times in a row on {source_branch}, last as {build_number} for {requested_for}")
-- resolved: notify("delivery", "{project}: the pipeline {definition} builds again on {source_branch}")
-- why: One red build is work in progress; three in a row on the main branch are a team that cannot deliver.
-- ---
WITH told AS (
  SELECT
    tenant, organization, project, definition_id, definition, source_branch, build_number, result, requested_for, finish_time,
    row_number() OVER (PARTITION BY tenant, organization, project, definition_id, source_branch ORDER BY finish_time DESC, id DESC) AS place
  FROM ado_build
  WHERE status = 'completed' AND result IN ('succeeded', 'partiallySucceeded', 'failed')
    AND source_branch IN ('refs/heads/main', 'refs/heads/master') AND finish_time >= $now - INTERVAL '30 days'
)
SELECT
  tenant, organization, project, definition_id, source_branch, max(definition) AS definition,
  max(build_number) FILTER (WHERE place = 1) AS build_number, max(requested_for) FILTER (WHERE place = 1) AS requested_for,
  max(finish_time) AS failed_at
FROM told
WHERE place <= 3
GROUP BY tenant, organization, project, definition_id, source_branch
HAVING count(*) = 3 AND count(*) FILTER (WHERE result = 'failed') = 3
