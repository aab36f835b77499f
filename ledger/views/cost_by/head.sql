SELECT
  coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, -- First instant of the billing period.
  x_tenant AS tenant, -- Tenant that pays.
