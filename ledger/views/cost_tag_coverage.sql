WITH summed AS (
  SELECT coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, x_tenant AS tenant,
    "BillingCurrency" AS currency, sum(coalesce("EffectiveCost", "BilledCost")) AS cost,
    sum(coalesce("EffectiveCost", "BilledCost")) FILTER (WHERE x_app IS NOT NULL) AS with_app,
    sum(coalesce("EffectiveCost", "BilledCost")) FILTER (WHERE x_env IS NOT NULL) AS with_env,
    sum(coalesce("EffectiveCost", "BilledCost")) FILTER (WHERE x_cost_center IS NOT NULL) AS with_cost_center,
    sum(coalesce("EffectiveCost", "BilledCost")) FILTER (WHERE x_owner IS NOT NULL) AS with_owner,
    sum(coalesce("EffectiveCost", "BilledCost")) FILTER (WHERE x_project IS NOT NULL) AS with_project
  FROM cost_line WHERE coalesce("ChargeCategory", 'Usage') IN ('Usage', 'Purchase')
  GROUP BY 1, 2, 3
), labelled AS (
  SELECT s.*, l.label, coalesce(CASE l.label WHEN 'x_app' THEN with_app WHEN 'x_env' THEN with_env
    WHEN 'x_cost_center' THEN with_cost_center WHEN 'x_owner' THEN with_owner ELSE with_project END, 0) AS labelled_cost
  FROM summed s
  CROSS JOIN (VALUES ('x_app'), ('x_env'), ('x_cost_center'), ('x_owner'), ('x_project')) AS l(label)
)
SELECT
  month, -- First instant of the billing period.
  tenant, -- Tenant that pays.
  currency, -- Currency of the amounts.
  label, -- The column of `cost_line` that a tag should fill.
  cost AS effective_cost, -- Effective cost of usage and purchases.
  labelled_cost, -- The part of it that has the label.
  labelled_cost / nullif(cost, 0) AS coverage -- That part of the whole; null where nothing was spent.
FROM labelled
