-- Minutes, rounded up; a span that would be negative is null and counts 0 in the sum, as a part that is missing does.
WITH merged AS (
  SELECT p.tenant, p.organization, p.project_id, p.project, p.repository_id, p.repository, p.pull_request_id, p.title,
    p.created_by, p.creation_date AS opened_at, p.closed_date AS merged_at, p.target_ref_name, p.source_ref_name, p.last_merge_commit,
    p.last_merge_source_commit
  FROM ado_pull_request p
  WHERE p.status = 'completed' AND p.closed_date IS NOT NULL
), first_commit AS (
  -- The commits of a pull request came with the pushes to its source branch.
  SELECT m.tenant, m.organization, m.repository_id, m.pull_request_id, min(c.author_date) AS first_commit_at
  FROM merged m
  JOIN ado_push u ON u.tenant = m.tenant AND u.organization = m.organization AND u.repository_id = m.repository_id
    AND u.ref_name = m.source_ref_name AND u.push_date <= m.merged_at
  JOIN ado_commit c ON c.tenant = u.tenant AND c.organization = u.organization AND c.repository_id = u.repository_id
    AND c.push_id = u.push_id
  GROUP BY m.tenant, m.organization, m.repository_id, m.pull_request_id
), pushed AS (
  -- Where on its target branch the merge stands: the order of pushes is the order of commits there.
  SELECT m.tenant, m.organization, m.repository_id, m.pull_request_id, min(u.push_id) AS merge_push
  FROM merged m
  JOIN ado_push u ON u.tenant = m.tenant AND u.organization = m.organization AND u.repository_id = m.repository_id
    AND u.ref_name = m.target_ref_name AND u.new_object_id = m.last_merge_commit
  GROUP BY m.tenant, m.organization, m.repository_id, m.pull_request_id
), deployed AS (
  SELECT d.tenant, d.organization, d.repository_id, d.ref_name, d.deployment_id, d.environment, d.started_at, d.finished_at,
    max(u.push_id) AS at_push
  FROM dora_deployment d
  LEFT JOIN ado_push u ON u.tenant = d.tenant AND u.organization = d.organization AND u.repository_id = d.repository_id
    AND u.ref_name = d.ref_name AND u.new_object_id = d.commit_id
  WHERE d.is_production AND d.result = 'succeeded' AND d.finished_at IS NOT NULL AND d.repository_id IS NOT NULL
  GROUP BY d.tenant, d.organization, d.repository_id, d.ref_name, d.deployment_id, d.environment, d.started_at, d.finished_at
), first_deployment AS (
  SELECT m.tenant, m.organization, m.repository_id, m.pull_request_id, min(d.finished_at) AS deployed_at,
    first_value(d.deployment_id ORDER BY d.finished_at) AS deployment_id
  FROM merged m
  LEFT JOIN pushed s ON s.tenant = m.tenant AND s.organization = m.organization AND s.repository_id = m.repository_id
    AND s.pull_request_id = m.pull_request_id
  JOIN deployed d ON d.tenant = m.tenant AND d.organization = m.organization AND d.repository_id = m.repository_id
    AND d.ref_name = m.target_ref_name
  -- By the commits where both are known, else by the clock.
  WHERE CASE WHEN s.merge_push IS NOT NULL AND d.at_push IS NOT NULL THEN d.at_push >= s.merge_push
    ELSE coalesce(d.started_at, d.finished_at) >= m.merged_at END
  GROUP BY m.tenant, m.organization, m.repository_id, m.pull_request_id
), spans AS (
  SELECT m.*, f.first_commit_at, g.deployed_at, g.deployment_id,
    CASE WHEN f.first_commit_at <= m.opened_at THEN (CAST(m.opened_at AS BIGINT) - CAST(f.first_commit_at AS BIGINT) + 59999999) / 60000000 END AS coding_minutes,
    CASE WHEN m.opened_at <= m.merged_at THEN (CAST(m.merged_at AS BIGINT) - CAST(m.opened_at AS BIGINT) + 59999999) / 60000000 END AS review_minutes,
    CASE WHEN m.merged_at <= g.deployed_at THEN (CAST(g.deployed_at AS BIGINT) - CAST(m.merged_at AS BIGINT) + 59999999) / 60000000 END AS deploy_minutes
  FROM merged m
  LEFT JOIN first_commit f ON f.tenant = m.tenant AND f.organization = m.organization AND f.repository_id = m.repository_id
    AND f.pull_request_id = m.pull_request_id
  LEFT JOIN first_deployment g ON g.tenant = m.tenant AND g.organization = m.organization AND g.repository_id = m.repository_id
    AND g.pull_request_id = m.pull_request_id
)
SELECT tenant, organization, project_id, project, repository_id, repository, pull_request_id, title, created_by, first_commit_at,
  opened_at, merged_at, deployed_at, deployment_id, coding_minutes, review_minutes, deploy_minutes,
  CASE WHEN deployed_at IS NOT NULL
    THEN coalesce(coding_minutes, 0) + coalesce(review_minutes, 0) + coalesce(deploy_minutes, 0) END AS lead_time_minutes
FROM spans
