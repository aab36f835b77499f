-- A build that was cancelled while it waited never began; it waited all the same, and counts as cancelled.
SELECT tenant, organization, project, definition_id, max(definition) AS pipeline, date_trunc('day', finish_time) AS on_day,
  count(*) AS builds,
  count(*) FILTER (WHERE result = 'succeeded') AS succeeded,
  count(*) FILTER (WHERE result = 'partiallySucceeded') AS partially_succeeded,
  count(*) FILTER (WHERE result = 'failed') AS failed,
  count(*) FILTER (WHERE result = 'canceled') AS canceled,
  CASE WHEN count(*) FILTER (WHERE result IN ('succeeded', 'partiallySucceeded', 'failed')) > 0
    THEN CAST(count(*) FILTER (WHERE result = 'succeeded') AS DOUBLE)
      / count(*) FILTER (WHERE result IN ('succeeded', 'partiallySucceeded', 'failed')) END AS success_rate,
  median(CAST(CAST(finish_time AS BIGINT) - CAST(start_time AS BIGINT) AS DOUBLE)) / 1000 AS median_duration_ms,
  max(CAST(CAST(finish_time AS BIGINT) - CAST(start_time AS BIGINT) AS DOUBLE)) / 1000 AS longest_duration_ms,
  median(CAST(CAST(coalesce(start_time, finish_time) AS BIGINT) - CAST(queue_time AS BIGINT) AS DOUBLE)) / 1000 AS median_queue_ms
FROM ado_build
WHERE status = 'completed' AND finish_time IS NOT NULL AND (is_deleted IS DISTINCT FROM TRUE)
GROUP BY tenant, organization, project, definition_id, date_trunc('day', finish_time)
