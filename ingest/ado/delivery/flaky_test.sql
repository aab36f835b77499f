-- A test is flaky where it both passed and failed on the same commit of the same pipeline.
WITH told AS (
  SELECT r.tenant, r.organization, r.project, coalesce(r.automated_test_name, r.test_case_title) AS test,
    r.automated_test_storage AS storage, b.definition_id, b.definition, b.source_version AS commit_id, r.outcome, r.completed_date, r.is_flaky
  FROM ado_test_result r
  JOIN ado_test_run t ON t.tenant = r.tenant AND t.organization = r.organization AND t.project_id = r.project_id AND t.id = r.run_id
  JOIN ado_build b ON b.tenant = t.tenant AND b.organization = t.organization AND b.id = coalesce(r.build_id, t.build_id)
  WHERE r.outcome IN ('Passed', 'Failed')
), of_commit AS (
  SELECT tenant, organization, project, test, storage, definition_id, max(definition) AS definition, commit_id,
    count(*) FILTER (WHERE outcome = 'Passed') AS passed, count(*) FILTER (WHERE outcome = 'Failed') AS failed,
    bool_or(coalesce(is_flaky, FALSE)) AS told_flaky, max(completed_date) AS last_at
  FROM told
  GROUP BY tenant, organization, project, test, storage, definition_id, commit_id
)
SELECT tenant, organization, project, test, storage, definition_id, max(definition) AS pipeline,
  count(*) AS commits, count(*) FILTER (WHERE (passed > 0 AND failed > 0) OR told_flaky) AS flaky_commits,
  sum(passed) AS passed, sum(failed) AS failed,
  CAST(count(*) FILTER (WHERE (passed > 0 AND failed > 0) OR told_flaky) AS DOUBLE) / count(*) AS flaky_rate,
  max(last_at) FILTER (WHERE (passed > 0 AND failed > 0) OR told_flaky) AS last_flaky_at
FROM of_commit
GROUP BY tenant, organization, project, test, storage, definition_id
HAVING count(*) FILTER (WHERE (passed > 0 AND failed > 0) OR told_flaky) > 0
