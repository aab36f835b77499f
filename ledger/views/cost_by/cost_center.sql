  x_cost_center AS cost_center, -- Cost centre; null where nothing says it.
  x_owner AS owner, -- Owner; null where nothing says it.
