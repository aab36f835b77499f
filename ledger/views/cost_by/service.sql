  coalesce("ServiceProviderName", "ProviderName") AS provider, -- Who makes the service available.
  "ServiceCategory" AS service_category, -- Category of the service.
  "ServiceName" AS service, -- The service.
