SELECT
  coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, -- Billing period that the correction stands in.
  date_trunc('month', "ChargePeriodStart") AS corrected_month, -- Month that it corrects.
  x_tenant AS tenant, -- Tenant that pays.
  "ServiceName" AS service, -- The service.
  "BillingCurrency" AS currency, -- Currency of the amounts.
  sum("BilledCost") AS billed_cost, -- What the corrections come to: negations and what is booked anew together.
  sum("EffectiveCost") AS effective_cost, -- The same with commitments spread.
  sum("BilledCost") FILTER (WHERE "BilledCost" < 0) AS taken_back, -- The negative part.
  sum("BilledCost") FILTER (WHERE "BilledCost" > 0) AS booked, -- The positive part.
  count(*) AS charges -- Rows of `cost_line`.
FROM cost_line
WHERE "ChargeClass" = 'Correction'
GROUP BY 1, 2, 3, 4, 5
