-- ---
-- owner: delivery
-- cron: 0 9 * * 1-5 Europe/Berlin
-- key: [organization, repository_id, pull_request_id]
-- watch: [week]
-- new: notify("delivery", "{repository} #{pull_request_id} “{title}” by {created_by}: nothing has happened for {days} days ({approvals} approvals, {merge_status})")
-- changed: notify("delivery", "{repository} #{pull_request_id} “{title}” has waited for {days} days by now")
-- why: A change that waits for a week is written twice: once by its author, once by whoever resolves its conflicts.
-- ---
WITH act AS (
  SELECT tenant, organization, repository_id, pull_request_id, max(at_time) AS last_at
  FROM (
    SELECT tenant, organization, repository_id, pull_request_id, published_date AS at_time FROM ado_pull_request_comment
    UNION ALL
    -- Votes and pushes are threads, too.
    SELECT tenant, organization, repository_id, pull_request_id, published_date FROM ado_pull_request_thread
    UNION ALL
    SELECT tenant, organization, repository_id, pull_request_id, creation_date FROM ado_pull_request
  ) AS acts
  GROUP BY tenant, organization, repository_id, pull_request_id
), waits AS (
  SELECT p.tenant, p.organization, p.repository_id, p.repository, p.pull_request_id, p.title, p.created_by, p.merge_status,
    coalesce(p.approvals, 0) AS approvals, p.url, a.last_at,
    CAST(floor((date_part('epoch', $now) - date_part('epoch', a.last_at)) / 86400) AS BIGINT) AS days
  FROM ado_pull_request p
  JOIN act a ON a.tenant = p.tenant AND a.organization = p.organization AND a.repository_id = p.repository_id
    AND a.pull_request_id = p.pull_request_id
  WHERE p.status = 'active' AND (p.is_draft IS DISTINCT FROM TRUE)
)
SELECT *, days / 7 AS week FROM waits WHERE days >= 5
