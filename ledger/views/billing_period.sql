SELECT
  "BillingPeriodCreated",
  "BillingPeriodEnd",
  "BillingPeriodLastUpdated",
  "BillingPeriodStart",
  "BillingPeriodStatus",
  "InvoiceIssuerName",
  "x_tenant",
  "x_source_run_id",
  "x_source_row",
  "x_source_schema",
  "x_set",
  "x_raw",
  "x_extra",
  "x_source",
  "x_ingested_at"
FROM billing_period
-- What the platform sealed is no word of the issuer: see billing_period_state.
WHERE x_sealed_at IS NULL
