SELECT tenant,
       replace(service_name, ':', '%3A') || ':' || on_day AS key,
       max(seq) AS seq,
       'Errors of ' || service_name || ' on ' || on_day AS title,
       service_name || '/' || on_day || '.md' AS path,
       CAST(NULL AS VARCHAR) AS uri,
       '# Errors of ' || service_name || ' on ' || on_day || chr(10) || chr(10)
         || CAST(sum(times) AS VARCHAR) || ' errors of ' || service_name || ' were recorded on ' || on_day || '.' || chr(10) || chr(10)
         || string_agg('- ' || CAST(times AS VARCHAR) || ' times, in ' || kind || ': ' || pattern, chr(10) ORDER BY times DESC, kind, pattern)
         || chr(10) AS text,
       'markdown' AS format,
       CAST(NULL AS VARCHAR) AS language, CAST(NULL AS VARCHAR) AS acl, CAST(NULL AS VARCHAR) AS content_hash,
       CAST(sum(times) AS BIGINT) AS version
FROM (
  SELECT tenant, service_name, on_day, kind, pattern, count(*) AS times, max(seq) AS seq,
         row_number() OVER (PARTITION BY tenant, service_name, on_day ORDER BY count(*) DESC, kind, pattern) AS place
  FROM (
    SELECT tenant, coalesce(service_name, 'unknown') AS service_name, substr(CAST(time AS VARCHAR), 1, 10) AS on_day, 'logs' AS kind,
           substr(regexp_replace(coalesce(exception_type || ': ', '') || coalesce(nullif(body, ''), exception_message, event_name, ''),
                                 '[0-9a-fA-F]{8,}|[0-9]+', '#', 'g'), 1, 300) AS pattern,
           _seq AS seq
    FROM otel_log
    WHERE severity_number >= 17 AND time >= now() - INTERVAL '7 days'
    UNION ALL
    SELECT tenant, coalesce(service_name, 'unknown'), substr(CAST(time AS VARCHAR), 1, 10), 'spans',
           substr(regexp_replace(coalesce(name, '') || coalesce(': ' || nullif(status_message, ''), '') || coalesce(' (' || error_type || ')', ''),
                                 '[0-9a-fA-F]{8,}|[0-9]+', '#', 'g'), 1, 300),
           _seq
    FROM otel_span
    WHERE status_code = 'ERROR' AND time >= now() - INTERVAL '7 days'
  ) errors
  GROUP BY tenant, service_name, on_day, kind, pattern
) patterns
WHERE place <= 20
GROUP BY tenant, service_name, on_day
