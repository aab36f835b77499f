WITH charged AS (
  SELECT x_tenant AS tenant, "InvoiceId" AS invoice_id, coalesce(CAST("InvoiceIssuerName" AS VARCHAR), '') AS issuer, coalesce(CAST("BillingCurrency" AS VARCHAR), '') AS currency,
    sum("BilledCost") AS charged_cost, count(*) AS charges
  FROM cost_line WHERE "InvoiceId" IS NOT NULL GROUP BY 1, 2, 3, 4
), invoiced AS (
  SELECT x_tenant AS tenant, "InvoiceId" AS invoice_id, coalesce(CAST("InvoiceIssuerName" AS VARCHAR), '') AS issuer, coalesce(CAST("BillingCurrency" AS VARCHAR), '') AS currency,
    sum("BilledCost") AS invoiced_cost, count(*) AS lines
  FROM invoice_detail GROUP BY 1, 2, 3, 4
)
SELECT
  coalesce(c.tenant, i.tenant) AS tenant, -- Tenant that pays.
  coalesce(c.invoice_id, i.invoice_id) AS invoice_id, -- The invoice.
  nullif(coalesce(c.issuer, i.issuer), '') AS issuer, -- Who sends it.
  nullif(coalesce(c.currency, i.currency), '') AS currency, -- Currency of the amounts.
  c.charged_cost, -- What the charges of the ledger come to; null where there are none.
  i.invoiced_cost, -- What the lines of the invoice come to; null where there are none.
  coalesce(i.invoiced_cost, 0) - coalesce(c.charged_cost, 0) AS difference, -- Invoiced less charged: 0 where they agree.
  c.charges, -- Charges of the ledger.
  i.lines -- Lines of the invoice.
FROM charged c
FULL JOIN invoiced i ON i.tenant = c.tenant AND i.invoice_id = c.invoice_id AND i.issuer = c.issuer AND i.currency = c.currency
