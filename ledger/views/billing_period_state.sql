WITH period AS (
  SELECT x_tenant AS tenant, coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS period_start,
    max("BillingPeriodEnd") AS period_end, "InvoiceIssuerName" AS issuer, count(*) AS charges, count(*) FILTER (WHERE x_estimate) AS estimates
  FROM cost_line GROUP BY 1, 2, 4
), told AS (
  SELECT x_tenant AS tenant, "BillingPeriodStart" AS period_start, "InvoiceIssuerName" AS issuer, max("BillingPeriodStatus") AS status
  FROM billing_period WHERE x_sealed_at IS NULL GROUP BY 1, 2, 3
), seal AS (
  SELECT x_tenant AS tenant, "BillingPeriodStart" AS period_start, "InvoiceIssuerName" AS issuer,
    x_sealed_at, x_sealed_by, x_sealed_root
  FROM billing_period WHERE x_sealed_at IS NOT NULL
)
SELECT
  p.tenant, -- Tenant of the charges.
  p.period_start, -- First instant of the billing period.
  p.period_end, -- First instant after it.
  p.issuer, -- Who sends the invoice.
  CASE WHEN coalesce(s.x_sealed_at, a.x_sealed_at) IS NOT NULL THEN 'sealed' WHEN t.status = 'Closed' THEN 'closed' ELSE 'open' END AS state, -- `sealed`: the platform refuses changes; `closed`: the issuer says that only corrections follow; else `open`.
  t.status AS issuer_status, -- What the issuer says; null where it says nothing.
  coalesce(s.x_sealed_at, a.x_sealed_at) AS sealed_at, -- When it was sealed.
  coalesce(s.x_sealed_by, a.x_sealed_by) AS sealed_by, -- Who sealed it.
  coalesce(s.x_sealed_root, a.x_sealed_root) AS sealed_root, -- SHA-256 over the charges that were sealed, the issuer's own where those were sealed apart.
  p.charges, -- Charges in it.
  p.estimates -- Of these, estimates.
FROM period p
LEFT JOIN told t ON t.tenant = p.tenant AND t.period_start = p.period_start AND t.issuer = p.issuer
-- An issuer's charges may be sealed by themselves, and later with all others once more: one row all the same.
LEFT JOIN seal s ON s.tenant = p.tenant AND s.period_start = p.period_start AND s.issuer = p.issuer
LEFT JOIN seal a ON a.tenant = p.tenant AND a.period_start = p.period_start AND a.issuer IS NULL
