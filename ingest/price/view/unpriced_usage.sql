SELECT
  tenant,
  provider,
  model,
  count(*) AS calls,
  sum(input_tokens) AS input_tokens,
  sum(output_tokens) AS output_tokens,
  min(time) AS first_at,
  max(time) AS last_at,
  max(llm_cost_detail(model, provider, input_tokens, output_tokens, 0, 0, 0, 0, 0, '', time) ->> 'error') AS reason
FROM llm_call_cost
WHERE cost IS NULL
GROUP BY tenant, provider, model
