-- ---
-- owner: privacy
-- cron: 0 5 * * * Europe/Berlin
-- key: [tenant, app, table_name]
-- new: notify("privacy", "{tenant}: {table_name} still holds {records} records of {app} from {oldest_day} to {newest_day}; its class {data_class} allows {retention_days} days")
-- resolved: notify("privacy", "{tenant}: {table_name} holds no record of {app} beyond its retention any more")
-- why: What a class of data promises to forget is still found when somebody asks for it, unless somebody looks for what is left.
-- ---
WITH class AS (
  SELECT a.tenant, a.id AS app, d.id AS data_class, min(d.retention_days) AS retention_days
  FROM application a
  JOIN data_class d ON d.id = a.data_class AND (d.tenant = a.tenant OR d.tenant = 'platform')
  WHERE d.retention_days IS NOT NULL
  GROUP BY a.tenant, a.id, d.id
), held AS (
  SELECT tenant, app, 'otel_log' AS table_name, date_trunc('day', time) AS on_day, count(*) AS records FROM otel_log WHERE app IS NOT NULL GROUP BY 1, 2, 4
  UNION ALL
  SELECT tenant, app, 'otel_span' AS table_name, date_trunc('day', time) AS on_day, count(*) AS records FROM otel_span WHERE app IS NOT NULL GROUP BY 1, 2, 4
)
SELECT c.tenant, c.app, h.table_name, c.data_class, c.retention_days, sum(h.records) AS records, min(h.on_day) AS oldest_day, max(h.on_day) AS newest_day
FROM class c
JOIN held h ON h.tenant = c.tenant AND h.app = c.app
-- A day counts when all of it is too old.
WHERE date_part('epoch', $now) - date_part('epoch', h.on_day) > (c.retention_days + 1) * 86400
GROUP BY c.tenant, c.app, h.table_name, c.data_class, c.retention_days
