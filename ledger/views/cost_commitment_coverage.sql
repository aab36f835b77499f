WITH summed AS (
  SELECT coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, x_tenant AS tenant,
    coalesce("ServiceProviderName", "ProviderName") AS provider, "ServiceName" AS service, "BillingCurrency" AS currency,
    coalesce(sum("EffectiveCost") FILTER (WHERE "CommitmentDiscountId" IS NOT NULL AND ("CommitmentDiscountStatus" IS DISTINCT FROM 'Unused')), 0) AS committed_cost,
    coalesce(sum("EffectiveCost") FILTER (WHERE "CommitmentDiscountId" IS NULL AND "PricingCategory" = 'Standard'), 0) AS on_demand_cost
  FROM cost_line WHERE "ChargeCategory" = 'Usage' AND "ChargeClass" IS NULL
  GROUP BY 1, 2, 3, 4, 5
)
SELECT
  month, -- First instant of the billing period.
  tenant, -- Tenant that pays.
  provider, -- Who makes the service available.
  service, -- The service.
  currency, -- Currency of the amounts.
  committed_cost, -- Effective cost of usage that a commitment covers.
  on_demand_cost, -- Effective cost of usage at the standard price, which a commitment could cover.
  committed_cost / nullif(committed_cost + on_demand_cost, 0) AS coverage -- The covered part; null where there is neither.
FROM summed
