-- From what people did: a comment by somebody else than the author, or a vote, is a review.
WITH acts AS (
  SELECT c.tenant, c.organization, c.repository_id, c.pull_request_id, c.published_date AS at_time, c.author_unique_name AS who, 0 AS vote
  FROM ado_pull_request_comment c
  WHERE (c.comment_type IS DISTINCT FROM 'system') AND (c.is_deleted IS DISTINCT FROM TRUE)
  UNION ALL
  SELECT t.tenant, t.organization, t.repository_id, t.pull_request_id, t.published_date, t.author_unique_name, t.vote_result
  FROM ado_pull_request_thread t
  WHERE t.thread_type = 'VoteUpdate'
), review AS (
  SELECT p.tenant, p.organization, p.repository_id, p.pull_request_id, min(a.at_time) AS first_review_at,
    min(a.at_time) FILTER (WHERE a.vote >= 5) AS first_approval_at, max(a.at_time) FILTER (WHERE a.vote >= 5) AS last_approval_at,
    count(a.at_time) FILTER (WHERE a.vote = 0) AS comments, count(DISTINCT a.who) AS reviewers
  FROM ado_pull_request p
  JOIN acts a ON a.tenant = p.tenant AND a.organization = p.organization AND a.repository_id = p.repository_id
    AND a.pull_request_id = p.pull_request_id AND (a.who IS DISTINCT FROM p.created_by_unique_name)
  GROUP BY p.tenant, p.organization, p.repository_id, p.pull_request_id
)
SELECT p.tenant, p.organization, p.project_id, p.project, p.repository_id, p.repository, p.pull_request_id, p.title, p.status, p.created_by,
  p.creation_date AS opened_at, r.first_review_at, r.first_approval_at, p.closed_date AS closed_at,
  coalesce(r.comments, 0) AS comments, coalesce(r.reviewers, 0) AS reviewers,
  CASE WHEN p.creation_date <= r.first_review_at
    THEN (CAST(r.first_review_at AS BIGINT) - CAST(p.creation_date AS BIGINT) + 59999999) / 60000000 END AS pickup_minutes,
  CASE WHEN r.first_review_at <= p.closed_date
    THEN (CAST(p.closed_date AS BIGINT) - CAST(r.first_review_at AS BIGINT) + 59999999) / 60000000 END AS review_minutes,
  CASE WHEN p.creation_date <= p.closed_date
    THEN (CAST(p.closed_date AS BIGINT) - CAST(p.creation_date AS BIGINT) + 59999999) / 60000000 END AS cycle_minutes
FROM ado_pull_request p
LEFT JOIN review r ON r.tenant = p.tenant AND r.organization = p.organization AND r.repository_id = p.repository_id
  AND r.pull_request_id = p.pull_request_id
