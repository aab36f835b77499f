"""The demo's questions: each joins streams that no single tool holds. Title, why somebody asks, SQL."""

CHAPTERS = [
    (
        "What came in",
        "Every record is in a table, or in `reject` with a reason.",
        """
SELECT 'cost lines' AS stream, count(*) AS rows_kept, CAST(min(ChargePeriodStart) AS VARCHAR) AS oldest FROM cost_line
UNION ALL SELECT 'spans', count(*), CAST(min(time) AS VARCHAR) FROM otel_span
UNION ALL SELECT 'log records', count(*), CAST(min(time) AS VARCHAR) FROM otel_log
UNION ALL SELECT 'metric points', count(*), CAST(min(time) AS VARCHAR) FROM otel_metric
UNION ALL SELECT 'Kubernetes objects', count(*), CAST(min(creation_timestamp) AS VARCHAR) FROM k8s_object
UNION ALL SELECT 'Azure DevOps events', count(*), CAST(min(created_date) AS VARCHAR) FROM ado_event
UNION ALL SELECT 'rejects', count(*), CAST(min(ingested_at) AS VARCHAR) FROM reject
ORDER BY 2 DESC, 1
""",
    ),
    (
        "Cost per subscription and tag, beside containers without limits",
        "Who pays for applications whose containers may take a whole node? Bill → tag → telemetry → pod.",
        """
WITH runs AS (SELECT DISTINCT service_name, k8s_pod_name FROM otel_span WHERE k8s_pod_name IS NOT NULL)
SELECT c.SubAccountName, c.Tags ->> 'application' AS application, c.Tags ->> 'environment' AS environment,
       sum(c.BilledCost) AS billed, c.BillingCurrency AS currency,
       (SELECT count(*) FROM k8s_pod p WHERE p.pod = r.k8s_pod_name AND p.memory_limit_bytes IS NULL) AS unlimited_containers
FROM cost_line c JOIN runs r ON r.service_name = c.Tags ->> 'application'
GROUP BY c.SubAccountName, c.Tags ->> 'application', c.Tags ->> 'environment', c.BillingCurrency, r.k8s_pod_name
ORDER BY billed DESC
""",
    ),
    (
        "Failing builds beside their error spans",
        "Azure DevOps says that a build failed; the pipeline's own trace says where; the push says whose change it was.",
        """
SELECT b.build_number, b.result, s.name AS step, s.status_message AS why, p.pushed_by, p.repository
FROM ado_build b
JOIN otel_span s ON s.cicd_pipeline_run_id = CAST(b.id AS VARCHAR) AND s.status_code = 'ERROR' AND s.parent_span_id IS NOT NULL
LEFT JOIN ado_push p ON p.new_object_id = b.source_version
WHERE b.result = 'failed'
ORDER BY s.time
""",
    ),
    (
        "One cost centre in the bill and in the telemetry",
        "What does cost centre 1234 pay, and what do its services serve for it?",
        """
WITH bill AS (SELECT x_cost_center AS cost_center, count(*) AS charges, sum(BilledCost) AS billed FROM cost_line
              WHERE x_cost_center IS NOT NULL GROUP BY 1),
     load AS (SELECT cost_center, service_name, count(*) AS requests, avg(duration_ns) / 1e6 AS mean_ms FROM otel_span
              WHERE kind = 'SERVER' GROUP BY 1, 2)
SELECT b.cost_center, l.service_name, b.charges, b.billed, l.requests, round(l.mean_ms, 2) AS mean_ms
FROM bill b JOIN load l ON l.cost_center = b.cost_center
""",
    ),
    (
        "Services with errors, and the state of the pods they run in",
        "The trace shows the symptom, the cluster shows the cause, the bill shows what it costs.",
        """
WITH load AS (SELECT service_name, k8s_namespace_name, k8s_pod_name, count(*) AS requests,
                     sum(CASE WHEN status_code = 'ERROR' THEN 1 ELSE 0 END) AS errors
              FROM otel_span WHERE kind = 'SERVER' AND k8s_pod_name IS NOT NULL GROUP BY 1, 2, 3),
     bill AS (SELECT x_app, sum(EffectiveCost) AS effective FROM cost_line GROUP BY 1)
SELECT l.service_name, l.requests, l.errors, p.state, coalesce(p.state_reason, p.last_termination_reason) AS reason,
       p.restart_count AS restarts, b.effective
FROM load l
JOIN k8s_pod p ON p.pod = l.k8s_pod_name AND p.namespace = l.k8s_namespace_name
LEFT JOIN bill b ON b.x_app = l.service_name
ORDER BY l.errors DESC
""",
    ),
    (
        "How delivery goes, by DORA's measures and by pipeline",
        "How often does production change, how often does a pipeline succeed, and how long does it take?",
        """
SELECT 'deployments of ' || project AS what, CAST(month AS DATE) AS since, deployment_days AS days_or_builds,
       median_days_per_week AS days_a_week_or_rate, band, NULL AS median_s
FROM dora_deployment_frequency
UNION ALL
SELECT 'builds of ' || pipeline, CAST(on_day AS DATE), builds, success_rate, NULL, round(median_duration_ms / 1000, 1)
FROM pipeline_health
ORDER BY 2, 1
""",
    ),
    (
        "Rules of the platform, and what breaks them",
        "Which rules do the cluster's objects break, and could each rule be evaluated?",
        """
SELECT constraint_kind, constraint_name, enforcement_action AS action, kind, count(*) AS violations,
       sum(CASE WHEN is_failure THEN 1 ELSE 0 END) AS not_evaluated, min(message) AS for_one
FROM policy_violation
GROUP BY constraint_kind, constraint_name, enforcement_action, kind
ORDER BY violations DESC, constraint_name, kind
LIMIT 8
""",
    ),
    (
        "A search joined with the bill",
        "What do the services cost that the runbooks about unanswered orders name?",
        """
WITH bill AS (SELECT Tags ->> 'application' AS application, sum(BilledCost) AS billed, count(*) AS charges
              FROM cost_line GROUP BY 1)
SELECT s.title, s.heading, b.application, b.billed, b.charges
FROM search('orders do not answer in time', 5, '{"source": "document"}') s
JOIN bill b ON strpos(s.title || s.text, b.application) > 0
ORDER BY s.score DESC, b.application
""",
    ),
    (
        "The bill as FOCUS asks for it",
        "FOCUS's published queries run as written, on the view that they name.",
        """
SELECT ProviderName, ServiceCategory, SUM(BilledCost) AS TotalBilledCost, SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE BillingPeriodStart >= '2024-09-01' AND BillingPeriodStart < '2024-10-01'
GROUP BY ProviderName, ServiceCategory
ORDER BY TotalBilledCost DESC
LIMIT 6
""",
    ),
]

# One in English, one in German.
QUESTIONS = [
    "What is done when orders of ZoomMapMax do not answer in time?",
    "Wie lange werden Sicherungen der Bestellungen aufbewahrt?",
]

CELL_WIDTH_MAX = 44


def text(value):
    if value is None:
        return "·"
    # Decimals come as exact texts; a report shows four digits of them.
    if isinstance(value, str) and value.replace(".", "", 1).lstrip("-").isdigit() and "." in value:
        value = f"{float(value):.4f}"
    value = str(value).replace("\n", " ")
    return value if len(value) <= CELL_WIDTH_MAX else value[: CELL_WIDTH_MAX - 1] + "…"


def table(columns, rows):
    """Aligned text; numbers to the right."""
    cells = [[text(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[at]) for row in cells)]) for at, name in enumerate(columns)]
    numeric = [all(row[at].replace(".", "", 1).lstrip("-").isdigit() or row[at] == "·" for row in cells) for at in range(len(columns))]

    def line(values):
        return "  ".join(value.rjust(width) if right else value.ljust(width) for value, width, right in zip(values, widths, numeric)).rstrip()

    return "\n".join([line(columns), "  ".join("─" * width for width in widths), *(line(row) for row in cells)])
