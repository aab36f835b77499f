  "BillingCurrency" AS currency, -- Currency of the amounts: currencies are never added.
  sum("BilledCost") AS billed_cost, -- What invoices ask for, and estimates of what is not billed yet.
  sum("EffectiveCost") AS effective_cost, -- The same with commitments spread over what they cover.
  sum("ListCost") AS list_cost, -- What it would cost without discounts.
  sum("BilledCost") FILTER (WHERE x_estimate) AS estimated_cost, -- The part of billed_cost that is an estimate; null for none.
  sum("BilledCost") FILTER (WHERE "ChargeClass" = 'Correction') AS corrected_cost, -- The part that corrects earlier periods.
  count(*) AS charges -- Rows of `cost_line`.
FROM cost_line
