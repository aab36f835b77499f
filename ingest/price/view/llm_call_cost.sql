-- The model that answered is priced; where it has no price, the one that was asked for.
SELECT
  tenant,
  time,
  trace_id,
  span_id,
  service_name,
  agent,
  provider,
  model,
  input_tokens,
  output_tokens,
  cache_read_tokens,
  cache_write_tokens,
  coalesce(
    llm_cost(model, provider, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, 0, 0, 0, service_tier, time),
    llm_cost(asked_model, provider, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, 0, 0, 0, service_tier, time)
  ) AS cost
FROM (
  SELECT
    tenant,
    time,
    trace_id,
    span_id,
    service_name,
    gen_ai_agent_name AS agent,
    gen_ai_provider_name AS provider,
    coalesce(gen_ai_response_model, gen_ai_request_model) AS model,
    gen_ai_request_model AS asked_model,
    coalesce(gen_ai_usage_input_tokens, 0) AS input_tokens,
    coalesce(gen_ai_usage_output_tokens, 0) AS output_tokens,
    coalesce(CAST(attributes ->> 'gen_ai.usage.cache_read.input_tokens' AS BIGINT), 0) AS cache_read_tokens,
    coalesce(CAST(attributes ->> 'gen_ai.usage.cache_creation.input_tokens' AS BIGINT), 0) AS cache_write_tokens,
    coalesce(attributes ->> 'gen_ai.openai.response.service_tier', attributes ->> 'openai.response.service_tier', '') AS service_tier
  FROM otel_span
  WHERE gen_ai_usage_input_tokens IS NOT NULL OR gen_ai_usage_output_tokens IS NOT NULL
) AS calls
