//! Under which names a list may have a model: with and without its provider's prefix, without a date, a version or a
//! region. Exact names stand before derived ones.

/// Names that OpenTelemetry's conventions and clouds give providers, and what price lists call them.
const PROVIDERS: &[(&str, &str)] = &[
    ("azure.ai.openai", "azure"),
    ("az.ai.openai", "azure"),
    ("azure_openai", "azure"),
    ("azure.ai.inference", "azure_ai"),
    ("az.ai.inference", "azure_ai"),
    ("aws.bedrock", "bedrock"),
    ("gcp.gemini", "gemini"),
    ("gcp.gen_ai", "gemini"),
    ("google", "gemini"),
    ("gcp.vertex_ai", "vertex_ai"),
    ("vertex_ai_beta", "vertex_ai"),
    ("mistral_ai", "mistral"),
    ("x_ai", "xai"),
    ("ibm.watsonx.ai", "watsonx"),
];

/// Bedrock's inference profiles begin with where they run.
const BEDROCK_REGIONS: &[&str] = &["us-gov.", "us.", "eu.", "apac.", "au.", "jp.", "ca.", "sa.", "global."];
/// Ways to call Bedrock that LiteLLM writes into a model's name.
const BEDROCK_ROUTES: &[&str] = &["converse/", "converse_like/", "invoke/"];

/// A provider as price lists call it.
pub fn provider(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    PROVIDERS.iter().find(|(other, _)| *other == name).map_or(name, |(_, listed)| (*listed).to_owned())
}

/// Names to look for, best first, each once.
pub fn candidates(model: &str, provider: &str) -> Vec<String> {
    let prefix = format!("{provider}/");
    let mut model = model.trim();
    // A router may repeat the provider: `openai/openai/gpt-5`.
    while !provider.is_empty() && model.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with(&prefix)) {
        model = &model[prefix.len()..];
    }
    let bare = if provider.is_empty() { model } else { model.strip_prefix(&prefix).unwrap_or(model) };
    let with_prefix = |name: &str| if provider.is_empty() { name.to_owned() } else { format!("{prefix}{name}") };
    let mut names = vec![with_prefix(bare), model.to_owned(), bare.to_owned()];
    if let Some((_, rest)) = model.split_once('/') {
        names.push(rest.to_owned());
    }
    if provider.starts_with("bedrock") {
        names.push(without_route(bare).to_owned());
    }
    let plain = stripped(bare, provider);
    names.extend([with_prefix(&plain), plain, with_prefix(model)]);
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    names
}

/// The name without a fine-tuner's own part, a date, a version or a region.
fn stripped(model: &str, provider: &str) -> String {
    match provider {
        "bedrock" | "bedrock_converse" => bedrock(model),
        "vertex_ai" | "gemini" | "databricks" => match model.rsplit_once('-') {
            Some((name, digits)) if is_digits(digits) => name.to_owned(),
            _ => model.to_owned(),
        },
        _ if model.contains("ft:") => model.splitn(3, ':').take(2).collect::<Vec<_>>().join(":"),
        _ => without_date(model).to_owned(),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without `-2025-08-07` at the end.
fn without_date(model: &str) -> &str {
    let mut parts = model.rsplitn(4, '-');
    let date: Vec<&str> = parts.by_ref().take(3).collect();
    let shape = [2, 2, 4];
    let dated = date.len() == 3 && date.iter().zip(shape).all(|(part, length)| part.len() == length && is_digits(part));
    parts.next().filter(|_| dated).unwrap_or(model)
}

fn without_route(model: &str) -> &str {
    BEDROCK_ROUTES.iter().find_map(|route| model.strip_prefix(route)).unwrap_or(model)
}

fn bedrock(model: &str) -> String {
    let model = without_route(model);
    // `us-east-1/anthropic.claude…` names the region, an ARN ends in the model.
    let model = model.rsplit('/').next().unwrap_or(model);
    let model = BEDROCK_REGIONS.iter().find_map(|region| model.strip_prefix(region)).unwrap_or(model);
    match model.rsplit_once(':') {
        Some((name, digits)) if is_digits(digits) => name.to_owned(),
        _ => model.to_owned(),
    }
}

/// Whether a price of the provider `listed` may be used for a request to `asked`; an empty one is any.
pub fn provider_fits(listed: &str, asked: &str) -> bool {
    if listed.is_empty() || asked.is_empty() || listed == asked {
        return true;
    }
    match asked {
        "vertex_ai" | "fireworks_ai" => listed.starts_with(asked),
        "azure_ai" => matches!(listed, "azure" | "openai"),
        "litellm_proxy" | "github" => true,
        _ => asked.starts_with("bedrock") && listed.starts_with("bedrock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(model: &str, provider: &str, expected: &[&str]) {
        assert_eq!(candidates(model, provider), expected, "{model} of {provider}");
    }

    #[test]
    fn exact_names_stand_before_derived_ones() {
        check("gpt-4o", "openai", &["openai/gpt-4o", "gpt-4o"]);
        check("gpt-4o", "", &["gpt-4o"]);
        check(
            "azure/gpt-4o-2024-08-06",
            "azure",
            &[
                "azure/gpt-4o-2024-08-06",
                "gpt-4o-2024-08-06",
                "azure/gpt-4o",
                "gpt-4o",
                "azure/azure/gpt-4o-2024-08-06",
            ],
        );
        check(
            "ft:gpt-4o:org::id",
            "openai",
            &["openai/ft:gpt-4o:org::id", "ft:gpt-4o:org::id", "openai/ft:gpt-4o", "ft:gpt-4o"],
        );
    }

    #[test]
    fn dates_versions_and_regions_are_taken_off() {
        assert_eq!(without_date("o3-2025-04-16"), "o3");
        assert_eq!(without_date("claude-opus-4-5"), "claude-opus-4-5");
        assert_eq!(without_date("2025-04-16"), "2025-04-16");
        assert_eq!(bedrock("converse/us.meta.llama3-2-11b-instruct-v1:0"), "meta.llama3-2-11b-instruct-v1");
        assert_eq!(stripped("gemini-1.5-flash-001", "gemini"), "gemini-1.5-flash");
    }

    #[test]
    fn providers_have_several_names() {
        assert_eq!(provider("Azure.AI.OpenAI"), "azure");
        assert_eq!(provider("openai"), "openai");
        assert!(provider_fits("vertex_ai-language-models", "vertex_ai") && provider_fits("openai", "azure_ai"));
        assert!(!provider_fits("azure", "openai") && !provider_fits("anthropic", "bedrock"));
    }
}
