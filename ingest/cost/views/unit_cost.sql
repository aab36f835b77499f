WITH cost AS (
  SELECT coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, x_tenant AS tenant, "BillingCurrency" AS currency,
    x_pipeline_run AS pipeline_run, x_project AS project, x_app AS app, x_model AS model,
    coalesce("EffectiveCost", "BilledCost") AS cost, coalesce(x_tokens_in, 0) + coalesce(x_tokens_out, 0) AS tokens
  FROM cost_line
), build AS (
  SELECT c.month, c.tenant, 'build' AS unit, coalesce(b.project || '/', '') || coalesce(b.definition, 'pipeline') AS subject, c.currency,
    CAST(count(DISTINCT b.id) AS DECIMAL(38, 18)) AS quantity, sum(c.cost) AS cost
  FROM cost c
  JOIN ado_build b ON b.tenant = c.tenant AND CAST(b.id AS VARCHAR) = c.pipeline_run
  WHERE c.pipeline_run IS NOT NULL
  GROUP BY c.month, c.tenant, coalesce(b.project || '/', '') || coalesce(b.definition, 'pipeline'), c.currency
), deployed AS (
  SELECT tenant, project, date_trunc('month', finished_at) AS month, count(*) AS deployments
  FROM dora_deployment WHERE is_production AND result = 'succeeded' AND finished_at IS NOT NULL
  GROUP BY tenant, project, date_trunc('month', finished_at)
), deployment AS (
  SELECT c.month, c.tenant, 'deployment' AS unit, c.project AS subject, c.currency,
    CAST(max(d.deployments) AS DECIMAL(38, 18)) AS quantity, sum(c.cost) AS cost
  FROM cost c
  JOIN deployed d ON d.tenant = c.tenant AND d.project = c.project AND d.month = c.month
  GROUP BY c.month, c.tenant, c.project, c.currency
), served AS (
  SELECT tenant, coalesce(app, service_name) AS app, CAST(date_trunc('month', time) AS TIMESTAMP(6) WITH TIME ZONE) AS month, count(*) AS requests
  FROM otel_span WHERE kind = 'SERVER'
  GROUP BY 1, 2, 3
), request AS (
  SELECT c.month, c.tenant, '1000 requests' AS unit, c.app AS subject, c.currency,
    CAST(max(s.requests) AS DECIMAL(38, 18)) / 1000 AS quantity, sum(c.cost) AS cost
  FROM cost c
  JOIN served s ON s.tenant = c.tenant AND s.app = c.app AND s.month = c.month
  GROUP BY c.month, c.tenant, c.app, c.currency
), token AS (
  SELECT month, tenant, '1000000 tokens' AS unit, model AS subject, currency,
    CAST(sum(tokens) AS DECIMAL(38, 18)) / 1000000 AS quantity, sum(cost) AS cost
  FROM cost WHERE model IS NOT NULL AND tokens > 0
  GROUP BY month, tenant, model, currency
), all_units AS (
  SELECT * FROM build UNION ALL SELECT * FROM deployment UNION ALL SELECT * FROM request UNION ALL SELECT * FROM token
)
SELECT
  month, -- First instant of the billing period.
  tenant, -- Tenant that pays.
  unit, -- `build`, `deployment`, `1000 requests` or `1000000 tokens`.
  subject, -- What is counted: project and pipeline, project, application, model.
  currency, -- Currency of the amounts.
  quantity, -- How many units.
  cost, -- Effective cost of the month for the subject.
  cost / nullif(quantity, 0) AS unit_cost -- What one unit costs.
FROM all_units
