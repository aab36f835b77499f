-- ---
-- owner: delivery
-- every: 1h
-- key: [organization, project, definition_id, storage, test]
-- start: baseline
-- limit: 100
-- new: notify("delivery", "{project}: {test} passes and fails on the same commit ({flaky_commits} of {commits} commits of {pipeline})")
-- why: A test that fails now and then teaches a team to run a red build again, also when the test is right.
-- ---
SELECT tenant, organization, project, definition_id, pipeline, storage, test, commits, flaky_commits, failed, last_flaky_at
FROM flaky_test
WHERE flaky_commits >= 2 AND last_flaky_at >= $now - INTERVAL '14 days'
