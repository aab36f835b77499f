//! A day of model calls: a row for each tenant, model, application, agent, pipeline run, project and task. Calls whose model
//! has no price are a row of their own, which costs nothing because nobody knows better, and says so.

use engine::arrow::array::Array;
use engine::{Result, Scope, Store, Value};
use ledger::answer::{Answer, amount, text};
use ledger::estimate::model_key;
use ledger::rewrite::instant;

use super::{Estimated, Set, Writing, Written, charge_id, day_name, kept};

const SCHEMA: &str = "Stellwerk model estimate";
const SOURCE: &str = "cost/estimate/models";

/// What a row is of, by the name in the question and the column that it fills.
const OF: &[(&str, &str)] = &[
    ("tenant", "x_tenant"),
    ("provider", "ServiceProviderName"),
    ("model", "x_model"),
    ("service_name", "x_component"),
    ("app", "x_app"),
    ("env", "x_env"),
    ("cost_center", "x_cost_center"),
    ("agent", "x_agent"),
    ("pipeline_run", "x_pipeline_run"),
    ("project", "x_project"),
    ("task", "x_task"),
];

/// Writes the days.
pub async fn write(to: &Writing<'_>, days: &[(i64, i64)]) -> Result<Estimated> {
    let mut estimated = Estimated::default();
    for (start, end) in days {
        let mut set = Set::new(format!("estimate|models|{}", day_name(*start)));
        let calls = Calls::read(to.store, &to.scope, (*start, *end)).await?;
        calls.fill((*start, *end), &mut set, &mut estimated)?;
        match set.write(to, *start, SOURCE).await? {
            Written::Rows(rows) => {
                estimated.rows += rows;
                estimated.days += u64::from(rows > 0);
            }
            Written::Same => {}
            Written::Kept => estimated.notes.push(kept(*start)),
        }
    }
    estimated.unpriced.sort();
    estimated.unpriced.dedup();
    Ok(estimated)
}

struct Calls(Answer);

impl Calls {
    async fn read(store: &Store, scope: &Scope, span: (i64, i64)) -> Result<Calls> {
        let names: Vec<&str> = OF.iter().map(|(name, _)| *name).collect();
        let of = names.join(", ");
        let sql = format!(
            "SELECT {of}, is_unpriced, calls, tokens_in, tokens_out, tokens_read, tokens_written, cost,
               coalesce(detail ->> 'currency', asked_detail ->> 'currency') AS currency,
               coalesce(detail ->> 'price_list', asked_detail ->> 'price_list') AS price_list,
               coalesce(detail ->> 'error', asked_detail ->> 'error') AS reason
             FROM (
               SELECT *, llm_cost_detail(model, provider, 1, 1, 0, 0, 0, 0, 0, '', {start}) AS detail,
                 llm_cost_detail(asked_model, provider, 1, 1, 0, 0, 0, 0, 0, '', {start}) AS asked_detail
               FROM (
                 SELECT {of}, max(asked_model) AS asked_model, cost IS NULL AS is_unpriced, count(*) AS calls,
                   sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out,
                   sum(tokens_read) AS tokens_read, sum(tokens_written) AS tokens_written, sum(cost) AS cost
                 FROM (
                   SELECT *, coalesce(
                     llm_cost(model, provider, tokens_in, tokens_out, tokens_read, tokens_written, 0, 0, 0, tier, time),
                     llm_cost(asked_model, provider, tokens_in, tokens_out, tokens_read, tokens_written, 0, 0, 0, tier, time)) AS cost
                   FROM (
                     SELECT tenant, time, gen_ai_provider_name AS provider,
                       coalesce(gen_ai_response_model, gen_ai_request_model) AS model, gen_ai_request_model AS asked_model,
                       service_name, app, env, cost_center, gen_ai_agent_name AS agent, cicd_pipeline_run_id AS pipeline_run,
                       coalesce(attributes ->> 'project', resource_attributes ->> 'project') AS project,
                       coalesce(attributes ->> 'task', attributes ->> 'task.id', attributes ->> 'work_item.id') AS task,
                       coalesce(gen_ai_usage_input_tokens, 0) AS tokens_in, coalesce(gen_ai_usage_output_tokens, 0) AS tokens_out,
                       coalesce(CAST(attributes ->> 'gen_ai.usage.cache_read.input_tokens' AS BIGINT), 0) AS tokens_read,
                       coalesce(CAST(attributes ->> 'gen_ai.usage.cache_creation.input_tokens' AS BIGINT), 0) AS tokens_written,
                       coalesce(attributes ->> 'gen_ai.openai.response.service_tier', attributes ->> 'openai.response.service_tier', '') AS tier
                     FROM otel_span
                     WHERE (gen_ai_usage_input_tokens IS NOT NULL OR gen_ai_usage_output_tokens IS NOT NULL)
                       AND time >= {start} AND time < {end}
                   ) AS spans
                 ) AS priced
                 GROUP BY {of}, cost IS NULL
               ) AS summed
             ) AS told",
            start = instant(span.0),
            end = instant(span.1)
        );
        Ok(Calls(Answer::of(store, scope, sql, &[]).await?))
    }

    fn fill(&self, span: (i64, i64), set: &mut Set, estimated: &mut Estimated) -> Result<()> {
        let answer = &self.0;
        let of = OF.iter().map(|(name, _)| answer.texts(name)).collect::<Result<Vec<_>>>()?;
        let (unpriced, cost) = (answer.truths("is_unpriced")?, answer.decimals("cost")?);
        let numbers = ["calls", "tokens_in", "tokens_out", "tokens_read", "tokens_written"];
        let numbers = numbers.map(|name| answer.numbers(name));
        let [calls, tokens_in, tokens_out, tokens_read, tokens_written] = numbers;
        let counts = [
            ("x_calls", calls?),
            ("x_tokens_in", tokens_in?),
            ("x_tokens_out", tokens_out?),
            ("x_tokens_cache_read", tokens_read?),
            ("x_tokens_cache_write", tokens_written?),
        ];
        let (currencies, lists, reasons) =
            (answer.texts("currency")?, answer.texts("price_list")?, answer.texts("reason")?);
        for at in 0..answer.rows() {
            let words: Vec<String> = of.iter().map(|texts| text(texts, at)).collect();
            let (tenant, provider, model) = (&words[0], &words[1], &words[2]);
            let is_unpriced = unpriced.value(at);
            let mut id: Vec<&str> = words.iter().map(String::as_str).collect();
            let name = set.name.clone();
            id.extend([name.as_str(), if is_unpriced { "unpriced" } else { "priced" }]);
            let id = charge_id(&id);
            let rows = set.begin(tenant, &id, span, SCHEMA);
            for ((_, column), texts) in OF.iter().zip(&of).skip(1) {
                rows.set(column, Some(text(texts, at)).filter(|text| !text.is_empty()));
            }
            let amount = amount(&cost, at).filter(|_| !is_unpriced).unwrap_or_default();
            for name in ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"] {
                rows.set(name, Value::Decimal(amount));
            }
            for (column, numbers) in &counts {
                rows.set(column, numbers.is_valid(at).then(|| numbers.value(at)));
            }
            let tokens = [&counts[1].1, &counts[2].1].map(|n| if n.is_valid(at) { n.value(at) } else { 0 });
            let tokens = i128::from(tokens[0]) + i128::from(tokens[1]);
            let currency = Some(text(&currencies, at)).filter(|c| !c.is_empty()).unwrap_or_else(|| "USD".to_owned());
            let reason = text(&reasons, at);
            let reason = if reason.is_empty() { "a kind of its tokens has no price".to_owned() } else { reason };
            if is_unpriced {
                estimated.unpriced.push(format!("{model}: {reason}"));
            }
            rows.set("BillingCurrency", currency)
                .set("BillingAccountId", tenant.as_str())
                .set("ServiceName", if provider.is_empty() { "Models" } else { provider.as_str() })
                .set("ServiceCategory", "AI and Machine Learning")
                .set("ServiceSubcategory", "Generative AI")
                .set("InvoiceIssuerName", Some(provider.as_str()).filter(|name| !name.is_empty()))
                .set("ChargeDescription", format!("calls of {model}"))
                .set("ConsumedUnit", "Tokens")
                .set("ConsumedQuantity", Value::Decimal(tokens * ledger::decimal::ONE))
                .set("x_price_list", Some(text(&lists, at)).filter(|list| !list.is_empty() && !is_unpriced))
                .set("x_unpriced", Some(reason).filter(|_| is_unpriced))
                .set("x_estimate_key", format!("{}|{}", model_key(provider, model), day_name(span.0)));
            rows.end_row()?;
        }
        Ok(())
    }
}
