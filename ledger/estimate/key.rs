//! What a charge is of, so that an estimate and a bill that mean the same thing say so: bills name machines by their
//! cloud's ids, Kubernetes names them in its own way, and models come with and without dates.

/// The thing that a charge of this resource is of. Machines of a scale set are billed as the set.
pub fn resource_key(resource: &str) -> String {
    let lower = resource.trim().to_lowercase();
    let path = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    if let Some(at) = path.find("/virtualmachinescalesets/") {
        let machine = path[at..].find("/virtualmachines/").map_or(path.len(), |end| at + end);
        return format!("resource|{}", from_subscriptions(&path[..machine]));
    }
    if lower.starts_with("gce://") || path.contains("compute.googleapis.com") || path.starts_with("projects/") {
        return format!("resource|{}", google(path));
    }
    let last = path.rsplit(['/', ':']).next().unwrap_or(path);
    if is_amazon_id(last) {
        return format!("resource|{last}");
    }
    format!("resource|{}", from_subscriptions(path))
}

/// Azure's ids begin with their subscription, whatever a scheme has put before.
fn from_subscriptions(path: &str) -> &str {
    path.find("/subscriptions/").map_or(path, |at| &path[at..])
}

/// `gce://project/zone/name` and `//compute.googleapis.com/projects/project/zones/zone/instances/name` are one machine.
fn google(path: &str) -> String {
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let behind = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    match (behind("projects"), behind("zones"), behind("instances")) {
        (Some(project), Some(zone), Some(instance)) => format!("{project}/{zone}/{instance}"),
        _ => words.join("/"),
    }
}

/// `i-0123456789abcdef0`, `vol-…`: a short word and hexadecimal digits.
fn is_amazon_id(word: &str) -> bool {
    let Some((kind, digits)) = word.split_once('-') else { return false };
    let short = (1..=6).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_lowercase());
    short && digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Clouds and makers by words that their names hold; the first that fits.
const PROVIDERS: &[(&str, &str)] = &[
    ("azure", "azure"),
    ("microsoft", "azure"),
    ("bedrock", "aws"),
    ("aws", "aws"),
    ("amazon", "aws"),
    ("vertex", "google"),
    ("gemini", "google"),
    ("google", "google"),
    ("gcp", "google"),
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("mistral", "mistral"),
];

/// The thing that a charge of this provider's model is of.
pub fn model_key(provider: &str, model: &str) -> String {
    let provider = provider.trim().to_lowercase();
    let known = PROVIDERS.iter().find(|(word, _)| provider.contains(word)).map(|(_, name)| *name);
    let model = model.trim().to_lowercase();
    let bare = model.rsplit('/').next().unwrap_or(&model);
    format!("model|{}|{}", known.unwrap_or(&provider), without_date(bare))
}

/// `gpt-4o-2024-08-06` and `claude-3-5-sonnet-20241022` without their dates.
fn without_date(model: &str) -> &str {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = model.rsplitn(4, '-').collect();
    match parts.as_slice() {
        [day, month, year, rest] if digits(day, 2) && digits(month, 2) && digits(year, 4) => rest,
        [date, ..] if digits(date, 8) && model.len() > 9 => &model[..model.len() - 9],
        _ => model,
    }
}

/// The thing of a charge: its model where it has one, else its resource; empty where it names neither.
pub fn thing_of(provider: &str, model: &str, resource: &str) -> String {
    match (model.is_empty(), resource.is_empty()) {
        (false, _) => model_key(provider, model),
        (true, false) => resource_key(resource),
        (true, true) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_one_thing_in_the_cluster_and_on_the_bill() {
        let same = |a: &str, b: &str| assert_eq!(resource_key(a), resource_key(b));
        same("aws:///eu-central-1a/i-0123456789abcdef0", "arn:aws:ec2:eu-central-1:1234:instance/i-0123456789ABCDEF0");
        same("aws:///eu-central-1a/i-0123456789abcdef0", "i-0123456789abcdef0");
        same(
            "gce://shop/europe-west3-a/node-1",
            "//compute.googleapis.com/projects/shop/zones/europe-west3-a/instances/node-1",
        );
        same("gce://shop/europe-west3-a/node-1", "projects/shop/zones/europe-west3-a/instances/node-1");
        let set = "/subscriptions/s/resourceGroups/MC_rg/providers/Microsoft.Compute/virtualMachineScaleSets/aks-pool";
        same(&format!("azure://{set}/virtualMachines/0"), &set.to_lowercase());
        same(&format!("azure://{set}/virtualMachines/0"), &format!("azure://{set}/virtualMachines/11"));
        assert_ne!(resource_key("i-0123456789abcdef0"), resource_key("i-0123456789abcdef1"));
    }

    #[test]
    fn a_model_is_one_thing_with_and_without_its_date() {
        assert_eq!(model_key("azure.ai.openai", "gpt-4o-2024-08-06"), model_key("Microsoft", "GPT-4o"));
        assert_eq!(
            model_key("anthropic", "claude-3-5-sonnet-20241022"),
            model_key("Anthropic PBC", "claude-3-5-sonnet")
        );
        assert_ne!(model_key("openai", "gpt-4o"), model_key("azure", "gpt-4o"));
        assert_ne!(model_key("openai", "gpt-4o"), model_key("openai", "gpt-4o-mini"));
        assert_eq!(thing_of("openai", "", "vm-1"), "resource|vm-1");
        assert_eq!(thing_of("openai", "", ""), "");
    }
}
