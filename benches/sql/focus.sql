-- The 32 commonest questions about cost: FOCUS's own, as its use-case library (Apache-2.0) and the supported features of
-- its specification 1.2 (CC-BY-4.0) publish them, on the names and columns they use; where the published text does not
-- parse it is repaired, where it leaves a gap one month of our rows fills it. Left out: those that need later columns, and
-- two that list every row. Ties of a LIMIT got a second key, so that there is one right answer.

-- account_entities: Billing accounts with charges in the period.
SELECT DISTINCT ProviderName, BillingAccountId, BillingAccountName, BillingAccountType FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'

-- billed_cost_sources: Where billed cost comes from.
SELECT ProviderName, PublisherName, InvoiceIssuerName, InvoiceId, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY ProviderName, PublisherName, InvoiceIssuerName, InvoiceId

-- invoice_alignment: Cost per invoice and billing period.
SELECT BillingPeriodStart, BillingPeriodEnd, InvoiceId, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table GROUP BY BillingPeriodStart, BillingPeriodEnd, InvoiceId

-- invoice_reconciliation: Cost per invoice issuer and invoice.
SELECT InvoiceIssuerName, InvoiceId, SUM(BilledCost) AS TotalBilledCost FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY InvoiceIssuerName, InvoiceId

-- commitment_purchases: Commitment discounts bought.
SELECT MIN(ChargePeriodStart) AS ChargePeriodStart, MAX(ChargePeriodEnd) AS ChargePeriodEnd, ProviderName,
  BillingAccountId, CommitmentDiscountId, CommitmentDiscountType, CommitmentDiscountUnit, CommitmentDiscountQuantity,
  ChargeFrequency, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND ChargeCategory = 'Purchase' AND CommitmentDiscountId IS NOT NULL
GROUP BY ProviderName, BillingAccountId, CommitmentDiscountId, CommitmentDiscountType, CommitmentDiscountUnit,
  CommitmentDiscountQuantity, ChargeFrequency

-- recurring_charges: Recurring charges of commitments.
SELECT BillingPeriodStart, CommitmentDiscountId, CommitmentDiscountName, CommitmentDiscountType, ChargeFrequency,
  SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodStart < TIMESTAMP '2026-06-01 00:00:00'
  AND ChargeFrequency = 'Recurring' AND CommitmentDiscountId IS NOT NULL
GROUP BY BillingPeriodStart, CommitmentDiscountId, CommitmentDiscountName, CommitmentDiscountType, ChargeFrequency

-- corrections: Corrections of a period that was invoiced.
SELECT ProviderName, BillingAccountId, ChargeCategory, ServiceCategory, ServiceName, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND ChargeClass = 'Correction'
GROUP BY ProviderName, BillingAccountId, ChargeCategory, ServiceCategory, ServiceName

-- unused_commitments: Commitments that were not used.
SELECT MIN(ChargePeriodStart) AS ChargePeriodStart, MAX(ChargePeriodEnd) AS ChargePeriodEnd, ProviderName,
  BillingAccountId, CommitmentDiscountId, CommitmentDiscountType, CommitmentDiscountStatus,
  SUM(BilledCost) AS TotalBilledCost, SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND CommitmentDiscountStatus = 'Unused'
GROUP BY ProviderName, BillingAccountId, CommitmentDiscountId, CommitmentDiscountType, CommitmentDiscountStatus

-- unused_reservations: Capacity reservations that were not used.
SELECT ProviderName, BillingAccountId, CapacityReservationId, CapacityReservationStatus,
  SUM(BilledCost) AS TotalBilledCost, SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND CapacityReservationStatus = 'Unused'
GROUP BY ProviderName, BillingAccountId, CapacityReservationId, CapacityReservationStatus

-- reservations_on_compute: Compute with and without capacity reservations.
SELECT CASE
    WHEN CapacityReservationId IS NOT NULL AND CapacityReservationStatus = 'Unused' THEN 'Unused Capacity Reservation'
    WHEN CapacityReservationId IS NOT NULL AND CapacityReservationStatus = 'Used'
      THEN 'Compute using Capacity Reservation'
    ELSE 'Compute without Capacity Reservation' END AS Status,
  ProviderName, BillingAccountId, SUM(BilledCost) AS TotalBilledCost, SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND ServiceCategory = 'Compute'
GROUP BY ProviderName, BillingAccountId, CapacityReservationId, CapacityReservationStatus

-- attribution_by_tags: Cost by all tags.
SELECT Tags, ConsumedUnit, SUM(BilledCost) AS TotalBilledCost, SUM(EffectiveCost) AS TotalEffectiveCost,
  SUM(ConsumedQuantity) AS TotalConsumedQuantity
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY Tags, ConsumedUnit

-- cost_comparison: Discounts against list and contract.
WITH AggregatedData AS (
  SELECT ProviderName, BillingAccountId, BillingAccountName, BillingCurrency, ServiceName,
    SUM(EffectiveCost) AS TotalEffectiveCost, SUM(BilledCost) AS TotalBilledCost,
    SUM(CASE WHEN ChargeCategory = 'Usage' AND BilledCost = 0 AND EffectiveCost != 0 THEN 0 ELSE ContractedCost END)
      AS TotalContractedCost,
    SUM(CASE WHEN ChargeCategory = 'Usage' AND BilledCost = 0 AND EffectiveCost != 0 THEN 0 ELSE ListCost END)
      AS TotalListCost
  FROM focus_data_table
  WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
    AND ChargeClass IS NULL
  GROUP BY ProviderName, BillingAccountId, BillingAccountName, BillingCurrency, ServiceName)
SELECT ProviderName, BillingAccountId, BillingAccountName, BillingCurrency, ServiceName, TotalEffectiveCost,
  TotalBilledCost, TotalListCost,
  (1 - CAST(TotalContractedCost AS DOUBLE) / NULLIF(CAST(TotalListCost AS DOUBLE), 0)) * 100 AS ContractedDiscount,
  (1 - CAST(TotalEffectiveCost AS DOUBLE) / NULLIF(CAST(TotalListCost AS DOUBLE), 0)) * 100 AS EffectiveDiscount
FROM AggregatedData

-- marketplace_purchases: What one issuer billed, by period.
SELECT ProviderName, InvoiceIssuerName, BillingPeriodStart, BillingPeriodEnd, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table WHERE ProviderName = 'AWS' AND InvoiceIssuerName = 'AWS'
GROUP BY ProviderName, InvoiceIssuerName, BillingPeriodStart, BillingPeriodEnd

-- provider_services: One service by sub-account and month.
SELECT BillingPeriodStart, ProviderName, SubAccountId, SubAccountName, ServiceName, SUM(BilledCost) AS TotalBilledCost,
  SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE ServiceName = 'AmazonEC2' AND BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00'
  AND BillingPeriodStart < TIMESTAMP '2026-06-01 00:00:00'
GROUP BY BillingPeriodStart, ProviderName, SubAccountId, SubAccountName, ServiceName
ORDER BY TotalEffectiveCost DESC

-- resource_usage: Quantities per resource.
SELECT ProviderName, ServiceName, ResourceId, SkuId, ConsumedUnit, SUM(ConsumedQuantity) AS TotalQuantity
FROM focus_data_table
WHERE ChargeCategory = 'Usage' AND ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00'
  AND ChargePeriodEnd <= TIMESTAMP '2026-06-01 00:00:00'
GROUP BY ProviderName, ServiceName, ResourceId, SkuId, ConsumedUnit

-- service_categorization: Cost by category, sub-category and service.
SELECT BillingPeriodStart, BillingPeriodEnd, ProviderName, ServiceCategory, ServiceSubcategory, ServiceName,
  BillingCurrency, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY BillingPeriodStart, BillingPeriodEnd, ProviderName, ServiceCategory, ServiceSubcategory, ServiceName,
  BillingCurrency

-- unit_prices: The unit prices of one SKU over a month.
SELECT DISTINCT SkuId, SkuPriceId, SkuPriceDetails, BillingPeriodStart, ChargePeriodStart, ChargePeriodEnd,
  BillingCurrency, ListUnitPrice, ContractedUnitPrice
FROM focus_data_table
WHERE SkuPriceId = 'SPRICE-d7f4030fc2a8b65799f6b437' AND ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00'
  AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'

-- component_usage: Cores used, from the price's details.
SELECT ProviderName, ServiceName, PricingUnit, RegionName,
  json_extract_string(SkuPriceDetails, '$.InstanceSeries') AS InstanceSeries,
  SUM(CAST(json_extract_string(SkuPriceDetails, '$.CoreCount') AS BIGINT)) AS TotalCoreCount
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND json_extract_string(SkuPriceDetails, '$.CoreCount') IS NOT NULL
  AND json_extract_string(SkuPriceDetails, '$.InstanceSeries') IS NOT NULL
GROUP BY ALL

-- contracted_savings: What contracts save against the list.
SELECT ServiceName, ServiceSubcategory, ChargeDescription, BillingCurrency, PricingCurrency,
  SUM(PricingCurrencyListUnitPrice - PricingCurrencyContractedUnitPrice) AS ContractedSavingsInPricingCurrency,
  SUM(ListUnitPrice - ContractedUnitPrice) AS ContractedSavingsInBillingCurrency
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND PricingCurrencyListUnitPrice > PricingCurrencyContractedUnitPrice
GROUP BY ServiceName, ServiceSubcategory, ChargeDescription, BillingCurrency, PricingCurrency

-- currency_targets: What a pricing currency is spent on.
SELECT ProviderName, PublisherName, ServiceName, ChargeDescription,
  SUM(PricingCurrencyEffectiveCost) AS TotalPricingCurrencyEffectiveCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND PricingCurrency = 'USD'
GROUP BY ProviderName, PublisherName, ServiceName, ChargeDescription
ORDER BY TotalPricingCurrencyEffectiveCost DESC, ServiceName, ChargeDescription LIMIT 10

-- spending_by_category: Spending of one provider by service category.
SELECT ProviderName, BillingAccountName, BillingAccountId, BillingCurrency, BillingPeriodStart, ServiceCategory,
  ServiceName, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND ProviderName = 'AWS'
GROUP BY ProviderName, BillingAccountName, BillingAccountId, BillingCurrency, BillingPeriodStart, ServiceCategory,
  ServiceName
ORDER BY TotalBilledCost DESC

-- service_months: Services, month over month.
SELECT MONTH(ChargePeriodStart) AS Month, ProviderName, ServiceName, SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodStart < TIMESTAMP '2026-08-01 00:00:00'
GROUP BY MONTH(ChargePeriodStart), ProviderName, ServiceName
ORDER BY MONTH(ChargePeriodStart), SUM(EffectiveCost) DESC

-- effective_compute: Effective cost of compute by kind of commitment.
SELECT CommitmentDiscountType, ProviderName, ServiceName, SubAccountId, SubAccountName, BillingPeriodStart,
  SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd <= TIMESTAMP '2026-06-01 00:00:00'
  AND ServiceCategory = 'Compute'
GROUP BY CommitmentDiscountType, ServiceName, ProviderName, SubAccountId, SubAccountName, BillingPeriodStart

-- compute_of_account: Compute of one sub-account, resource by resource.
SELECT MIN(ChargePeriodStart) AS First, MAX(ChargePeriodEnd) AS Last, ServiceName, ResourceId, ResourceName,
  SUM(PricingQuantity) AS TotalPricingQuantity, SUM(EffectiveCost) AS MonthlyEffectiveCost
FROM focus_data_table
WHERE SubAccountId = '200000000012' AND ServiceCategory = 'Compute'
  AND ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY ServiceName, ResourceId, ResourceName ORDER BY MonthlyEffectiveCost DESC

-- zones_of_account: Cost of one sub-account by availability zone.
SELECT ProviderName, RegionName, AvailabilityZone, BillingPeriodStart, SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE SubAccountId = '200000000012' AND ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00'
  AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY ProviderName, RegionName, AvailabilityZone, BillingPeriodStart
ORDER BY ProviderName, RegionName, AvailabilityZone, BillingPeriodStart

-- daily_by_region: Cost a day by sub-account and region.
SELECT CAST(ChargePeriodStart AS DATE) AS Day, ProviderName, SubAccountId, RegionId, RegionName,
  SUM(EffectiveCost) AS DailyEffectiveCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY CAST(ChargePeriodStart AS DATE), ProviderName, SubAccountId, RegionId, RegionName

-- daily_by_account: Cost a day by sub-account.
SELECT CAST(ChargePeriodStart AS DATE) AS Day, ProviderName, SubAccountId, SUM(EffectiveCost) AS DailyEffectiveCost
FROM focus_data_table
WHERE ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY CAST(ChargePeriodStart AS DATE), ProviderName, SubAccountId

-- application_budgets: Cost by the tag that names the application.
SELECT ProviderName, json_extract_string(Tags, '$.application') AS Application, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND json_extract_string(Tags, '$.application') IS NOT NULL
GROUP BY ProviderName, json_extract_string(Tags, '$.application')

-- update_budgets: Billed cost by period.
SELECT ProviderName, BillingPeriodStart, BillingPeriodEnd, SUM(BilledCost) AS TotalBilledCost FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY ProviderName, BillingPeriodStart, BillingPeriodEnd

-- forecast_usage: Usage and rates to forecast from.
SELECT ProviderName, BillingPeriodStart, BillingPeriodEnd, ServiceCategory, ServiceName, RegionId, RegionName,
  PricingUnit, SUM(EffectiveCost) AS TotalEffectiveCost, SUM(PricingQuantity) AS TotalPricingQuantity
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd <= TIMESTAMP '2026-06-01 00:00:00'
GROUP BY ProviderName, BillingPeriodStart, BillingPeriodEnd, ServiceCategory, ServiceName, RegionId, RegionName,
  PricingUnit

-- discounts_applied: Effective cost against list and billed cost.
SELECT ProviderName, BillingAccountId, BillingAccountName, BillingCurrency, ServiceName,
  SUM(EffectiveCost) AS TotalEffectiveCost, SUM(ListCost) AS TotalListCost, SUM(BilledCost) AS TotalBilledCost
FROM focus_data_table
WHERE BillingPeriodStart >= TIMESTAMP '2026-05-01 00:00:00' AND BillingPeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
  AND (ChargeClass IS NULL OR ChargeClass != 'Correction')
GROUP BY ProviderName, BillingAccountId, BillingAccountName, BillingCurrency, ServiceName

-- services_of_account: The ten dearest hours of one sub-account.
SELECT ChargePeriodStart, SubAccountId, SubAccountName, ServiceName, SUM(EffectiveCost) AS TotalEffectiveCost
FROM focus_data_table
WHERE SubAccountId = '200000000012' AND ChargePeriodStart >= TIMESTAMP '2026-05-01 00:00:00'
  AND ChargePeriodEnd < TIMESTAMP '2026-06-02 00:00:00'
GROUP BY ChargePeriodStart, SubAccountId, SubAccountName, ServiceName
ORDER BY SUM(EffectiveCost) DESC, ChargePeriodStart, ServiceName LIMIT 10
