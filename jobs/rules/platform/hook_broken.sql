-- ---
-- owner: platform
-- every: 5m
-- key: [organization, id]
-- watch: [status]
-- new: notify("platform", "{organization}: the service hook for {event_type} ({project}) is {status}; `stellwerk ado subscribe` repairs it")
-- changed: notify("platform", "{organization}: the service hook for {event_type} ({project}) is {status}")
-- resolved: notify("platform", "{organization}: the service hook for {event_type} ({project}) delivers again")
-- why: Azure DevOps switches a hook off after some failures and tells nobody; from then on the tables are quietly behind.
-- ---
SELECT tenant, organization, id, coalesce(project, 'all projects') AS project, event_type, status, probation_retries, modified_date
FROM ado_hook_subscription
-- What a person switched off is meant to be off.
WHERE status IN ('onProbation', 'disabledBySystem', 'disabledByInactiveIdentity')
