//! Requests, limits, capacities: named quantities.

use serde_json::Value;

use super::quantity::Quantity;
use crate::json::Reason;

/// The quantity of one name in a resource list; `place` is where the list stands, for the reason.
pub fn quantity(resources: &Value, name: &str, place: &str) -> Result<Option<Quantity>, Reason> {
    match resources {
        Value::Null => return Ok(None),
        Value::Object(_) => {}
        other => return Err(format!("{place} is not an object: {}", crate::json::clip(&other.to_string()))),
    }
    match resources.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => Quantity::from_json(found).map(Some).map_err(|e| format!("{place}.{name}: {e}")),
    }
}

/// All GPUs of a resource list: `nvidia.com/gpu`, `amd.com/gpu`, `gpu.intel.com/i915`, MIG slices.
pub fn accelerators(resources: &Value, place: &str) -> Result<Option<i64>, Reason> {
    let mut sum: Option<i64> = None;
    for name in resources.as_object().into_iter().flat_map(|r| r.keys()).filter(|name| is_accelerator(name)) {
        if let Some(count) = quantity(resources, name, place)? {
            sum = Some(sum.unwrap_or(0).saturating_add(count.whole()));
        }
    }
    Ok(sum)
}

fn is_accelerator(name: &str) -> bool {
    let Some((vendor, resource)) = name.split_once('/') else { return false };
    resource == "gpu" || resource == "gpu.shared" || resource.starts_with("mig-") || vendor == "gpu.intel.com"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gpus_of_every_vendor() {
        let offer = json!({"cpu": "4", "nvidia.com/gpu": "2", "nvidia.com/mig-1g.5gb": 3, "gpu.intel.com/i915": "1", "amd.com/gpu": "0"});
        assert_eq!(accelerators(&offer, "capacity").unwrap(), Some(6));
        assert_eq!(accelerators(&json!({"cpu": "4"}), "capacity").unwrap(), None);
        assert_eq!(quantity(&offer, "cpu", "capacity").unwrap().unwrap().whole(), 4);
        assert_eq!(
            quantity(&json!({"cpu": "four"}), "cpu", "limits").unwrap_err(),
            "limits.cpu: no quantity: \"four\""
        );
        assert!(quantity(&json!(["cpu"]), "cpu", "limits").is_err());
    }
}
