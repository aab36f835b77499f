WITH summed AS (
  SELECT coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, x_tenant AS tenant,
    "CommitmentDiscountId" AS commitment_id, max("CommitmentDiscountName") AS commitment, max("CommitmentDiscountType") AS commitment_type,
    "BillingCurrency" AS currency,
    coalesce(sum("EffectiveCost") FILTER (WHERE ("CommitmentDiscountStatus" IS DISTINCT FROM 'Unused')), 0) AS used_cost,
    coalesce(sum("EffectiveCost") FILTER (WHERE "CommitmentDiscountStatus" = 'Unused'), 0) AS unused_cost,
    sum("CommitmentDiscountQuantity") FILTER (WHERE ("CommitmentDiscountStatus" IS DISTINCT FROM 'Unused')) AS used_quantity,
    sum("CommitmentDiscountQuantity") FILTER (WHERE "CommitmentDiscountStatus" = 'Unused') AS unused_quantity
  FROM cost_line WHERE "ChargeCategory" = 'Usage' AND "CommitmentDiscountId" IS NOT NULL
  GROUP BY 1, 2, 3, 6
)
SELECT
  month, -- First instant of the billing period.
  tenant, -- Tenant that pays.
  commitment_id, -- The commitment, as `cost_line.CommitmentDiscountId`.
  commitment, -- Its name.
  commitment_type, -- The provider's word for its kind.
  currency, -- Currency of the amounts.
  used_cost, -- Effective cost of what used it.
  unused_cost, -- Effective cost of what nobody used.
  used_quantity, -- Quantity that used it, in its own unit.
  unused_quantity, -- Quantity that nobody used.
  used_cost / nullif(used_cost + unused_cost, 0) AS utilization -- The used part of its cost; null where it costs nothing.
FROM summed
