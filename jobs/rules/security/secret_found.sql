-- ---
-- owner: security
-- every: 5m
-- key: [tenant, target, finding]
-- start: baseline
-- new: notify("security", "{target}: {title} in {place} (found by {tool}, {severity}): revoke it first, then take it out")
-- resolved: notify("security", "{target}: {title} in {place} is gone")
-- why: A secret in a repository is public from the moment of its push; taking it out without revoking it changes nothing.
-- ---
SELECT tenant, target, fingerprint AS finding, coalesce(title, rule_id) AS title, coalesce(file, '') || coalesce(':' || CAST(line AS VARCHAR), '') AS place,
  tool_names AS tool, severity, first_seen
FROM security_finding_current
WHERE finding_kind = 'secret' AND state = 'open'
UNION ALL
SELECT tenant, repository_url, CAST(alert_id AS VARCHAR), title, coalesce(git_ref, ''), coalesce(tool, 'Advanced Security'), severity, first_seen_date
FROM ado_alert
WHERE alert_type = 'secret' AND state = 'active'
