-- Twenty questions that dashboards and people on call ask of one day of logs and spans, written down before anything was
-- measured. `-- name: what it asks` begins one; `~0.1` behind the name is how far numbers with a fraction may differ
-- between engines (their percentiles are estimates of different kinds, which part ways where a group is small);
-- `-- name @engine` begins the text for an engine whose SQL differs.
-- {day} is the day of the rows, {next} the day after it; {trace}, {span}, {pod} and {token} are things that are there.

-- errors_per_minute: How many errors a minute does each service log, in the last hour?
SELECT date_trunc('minute', time) AS minute, service_name, count(*) AS errors
FROM otel_log
WHERE severity_number >= 17 AND time >= TIMESTAMP '{day} 23:00:00' AND time < TIMESTAMP '{next} 00:00:00'
GROUP BY 1, 2 ORDER BY 1, 2

-- volume_by_severity: How many lines an hour are there of each severity, over the day?
SELECT date_trunc('hour', time) AS hour, severity_text, count(*) AS lines
FROM otel_log GROUP BY 1, 2 ORDER BY 1, 2

-- top_error_messages: Which error messages are the commonest of the day?
SELECT service_name, body, count(*) AS times
FROM otel_log WHERE severity_number >= 17
GROUP BY 1, 2 ORDER BY times DESC, service_name, body LIMIT 20

-- noisy_pods: Which pods write the most text?
SELECT k8s_namespace_name, k8s_pod_name, count(*) AS lines, sum(length(body)) AS bytes
FROM otel_log GROUP BY 1, 2 ORDER BY bytes DESC, k8s_pod_name LIMIT 10

-- latency_by_service ~0.1: The median, 95th and 99th percentile of what each service serves, over the day.
SELECT service_name, count(*) AS requests,
  approx_percentile_cont(duration_ns, 0.5) AS p50, approx_percentile_cont(duration_ns, 0.95) AS p95,
  approx_percentile_cont(duration_ns, 0.99) AS p99
FROM otel_span WHERE kind = 'SERVER' GROUP BY 1 ORDER BY 1
-- latency_by_service @duckdb
SELECT service_name, count(*) AS requests,
  approx_quantile(CAST(duration_ns AS DOUBLE), 0.5) AS p50, approx_quantile(CAST(duration_ns AS DOUBLE), 0.95) AS p95,
  approx_quantile(CAST(duration_ns AS DOUBLE), 0.99) AS p99
FROM otel_span WHERE kind = 'SERVER' GROUP BY 1 ORDER BY 1
-- latency_by_service @chdb
SELECT service_name, count(*) AS requests,
  quantileTDigest(0.5)(duration_ns) AS p50, quantileTDigest(0.95)(duration_ns) AS p95,
  quantileTDigest(0.99)(duration_ns) AS p99
FROM otel_span WHERE kind = 'SERVER' GROUP BY 1 ORDER BY 1

-- latency_by_route ~0.1: How slow is each route of one service, in six hours?
SELECT http_request_method, http_route, count(*) AS requests, approx_percentile_cont(duration_ns, 0.95) AS p95
FROM otel_span
WHERE service_name = 'gateway' AND kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00'
  AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1, 2 ORDER BY 1, 2
-- latency_by_route @duckdb
SELECT http_request_method, http_route, count(*) AS requests, approx_quantile(CAST(duration_ns AS DOUBLE), 0.95) AS p95
FROM otel_span
WHERE service_name = 'gateway' AND kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00'
  AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1, 2 ORDER BY 1, 2
-- latency_by_route @chdb
SELECT http_request_method, http_route, count(*) AS requests, quantileTDigest(0.95)(duration_ns) AS p95
FROM otel_span
WHERE service_name = 'gateway' AND kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00'
  AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1, 2 ORDER BY 1, 2

-- slowest_spans: Which requests of the day took longest?
SELECT time, service_name, name, duration_ns, trace_id
FROM otel_span WHERE kind = 'SERVER' ORDER BY duration_ns DESC, trace_id, time LIMIT 20

-- error_rate_by_version: Does a version fail more often than the others?
SELECT service_name, service_version, count(*) AS requests,
  sum(CASE WHEN status_code = 'ERROR' THEN 1 ELSE 0 END) AS errors
FROM otel_span WHERE kind = 'SERVER' GROUP BY 1, 2 ORDER BY 1, 2

-- red_per_minute: Rate, errors and mean duration of one service, a minute at a time, over six hours.
SELECT date_trunc('minute', time) AS minute, count(*) AS requests,
  sum(CASE WHEN status_code = 'ERROR' THEN 1 ELSE 0 END) AS errors, avg(duration_ns) AS mean_ns
FROM otel_span
WHERE service_name = 'checkout' AND kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00'
  AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1 ORDER BY 1

-- trace_spans: The spans of one trace.
SELECT time, service_name, name, span_id, parent_span_id, duration_ns, status_code
FROM otel_span WHERE trace_id = '{trace}' ORDER BY time, span_id

-- trace_logs: The log lines of one trace.
SELECT time, service_name, severity_text, body FROM otel_log WHERE trace_id = '{trace}' ORDER BY time, body

-- span_by_id: One span, of which only its id is known.
SELECT time, service_name, name, trace_id, duration_ns, status_message FROM otel_span WHERE span_id = '{span}'

-- rare_token: Where in the day was this word logged?
SELECT time, service_name, body FROM otel_log WHERE body LIKE '%{token}%' ORDER BY time, body
-- rare_token @chdb
SELECT time, service_name, body FROM otel_log WHERE hasToken(body, '{token}') ORDER BY time, body

-- substring: Which services log this piece of text, and how often?
SELECT service_name, count(*) AS times FROM otel_log
WHERE body LIKE '%connection reset by peer%' GROUP BY 1 ORDER BY 1

-- latest_errors: The fifty latest errors.
SELECT time, service_name, k8s_pod_name, body FROM otel_log
WHERE severity_number >= 17 ORDER BY time DESC, body LIMIT 50

-- pod_window: Everything one pod said in five minutes.
SELECT time, severity_text, body FROM otel_log
WHERE k8s_pod_name = '{pod}' AND time >= TIMESTAMP '{day} 12:00:00' AND time < TIMESTAMP '{day} 12:05:00'
ORDER BY time, body

-- distinct_users: How many users did each service see?
SELECT service_name, count(DISTINCT user_id) AS users FROM otel_span
WHERE kind = 'SERVER' GROUP BY 1 ORDER BY 1

-- logs_of_failures: What do services log at warning or above in traces that failed in checkout, in one hour?
SELECT l.service_name, l.severity_text, count(*) AS lines
FROM otel_span s JOIN otel_log l ON l.trace_id = s.trace_id
WHERE s.status_code = 'ERROR' AND s.kind = 'SERVER' AND s.service_name = 'checkout'
  AND s.time >= TIMESTAMP '{day} 12:00:00' AND s.time < TIMESTAMP '{day} 13:00:00' AND l.severity_number >= 13
GROUP BY 1, 2 ORDER BY 1, 2

-- dependencies: Which service calls which, and how slow is it, in one hour?
SELECT p.service_name AS caller, c.service_name AS callee, count(*) AS calls, max(c.duration_ns) AS longest_ns
FROM otel_span c JOIN otel_span p ON p.trace_id = c.trace_id AND p.span_id = c.parent_span_id
WHERE c.service_name <> p.service_name
  AND c.time >= TIMESTAMP '{day} 12:00:00' AND c.time < TIMESTAMP '{day} 13:00:00'
  AND p.time >= TIMESTAMP '{day} 12:00:00' AND p.time < TIMESTAMP '{day} 13:00:00'
GROUP BY 1, 2 ORDER BY 1, 2

-- attribute_values: How often does each value of an attribute occur that has no column, in six hours?
SELECT attributes ->> 'customer.tier' AS tier, count(*) AS spans
FROM otel_span
WHERE kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00' AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1 ORDER BY 1
-- attribute_values @datafusion
SELECT regexp_match(attributes, '"customer.tier":"([^"]*)"')[1] AS tier, count(*) AS spans
FROM otel_span
WHERE kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00' AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1 ORDER BY 1
-- attribute_values @duckdb
SELECT attributes ->> '$."customer.tier"' AS tier, count(*) AS spans
FROM otel_span
WHERE kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00' AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1 ORDER BY 1
-- attribute_values @chdb
SELECT JSONExtractString(attributes, 'customer.tier') AS tier, count(*) AS spans
FROM otel_span
WHERE kind = 'SERVER' AND time >= TIMESTAMP '{day} 12:00:00' AND time < TIMESTAMP '{day} 18:00:00'
GROUP BY 1 ORDER BY 1
