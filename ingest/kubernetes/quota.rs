//! What a namespace may take: `k8s_resource_quota`, `k8s_limit_range`. One row a resource, because that is what is
//! compared: used against hard, a container's default against its request.

use std::collections::BTreeSet;

use engine::{Column, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::object_columns;
use super::detail::{self, Detail, Parts, Write};
use super::meta::{Meta, Origin};
use super::resources::quantity;
use crate::json::{self, Reason, at};

/// ResourceQuotas.
pub static K8S_RESOURCE_QUOTA: Table = Table {
    key: &["cluster", "namespace", "name", "resource"],
    time: "ingested_at",
    ..Table::new(
        "k8s_resource_quota",
        "The last seen state of every ResourceQuota, one row a resource: what the namespace may take and takes.",
        object_columns![
            Column::new("resource", Type::Name, "The resource (`requests.cpu`, `pods`, `requests.nvidia.com/gpu`).")
                .required(),
            Column::new("hard", Type::Decimal, "The most of it: cores, bytes or a count."),
            Column::new("used", Type::Decimal, "What is taken of it; null before the controller has looked."),
            Column::new("scopes", Type::Json, "The list `spec.scopes`: which pods count."),
        ],
    )
};

/// LimitRanges.
pub static K8S_LIMIT_RANGE: Table = Table {
    key: &["cluster", "namespace", "name", "limit"],
    time: "ingested_at",
    ..Table::new(
        "k8s_limit_range",
        "The last seen state of every LimitRange, one row a type and resource.",
        object_columns![
            Column::new("limit", Type::Name, "Type and resource (`Container/cpu`).").required(),
            Column::new("limit_type", Type::Name, "`Container`, `Pod` or `PersistentVolumeClaim`."),
            Column::new("resource", Type::Name, "The resource (`cpu`, `memory`, `storage`)."),
            Column::new("min", Type::Decimal, "The least that may be asked for: cores or bytes."),
            Column::new("max", Type::Decimal, "The most that may be asked for."),
            Column::new("default_limit", Type::Decimal, "The limit of a container that names none."),
            Column::new("default_request", Type::Decimal, "The request of a container that names none."),
            Column::new(
                "max_limit_request_ratio",
                Type::Decimal,
                "The most that a limit may exceed its request by, as a factor."
            ),
        ],
    )
};

/// ResourceQuotas.
pub static RESOURCE_QUOTA: Detail = Detail {
    table: &K8S_RESOURCE_QUOTA,
    kinds: &[("", "ResourceQuota")],
    write: Write::Parts { columns: ("name", "resource"), write: resource_quota },
};
/// LimitRanges.
pub static LIMIT_RANGE: Detail = Detail {
    table: &K8S_LIMIT_RANGE,
    kinds: &[("", "LimitRange")],
    write: Write::Parts { columns: ("name", "limit"), write: limit_range },
};

fn resource_quota(meta: &Meta<'_>, origin: Origin<'_>, parts: &mut Parts<'_>) {
    let list = |path: &[&str]| at(meta.object, path).unwrap_or(&Value::Null);
    let (spec, status, used) = (list(&["spec", "hard"]), list(&["status", "hard"]), list(&["status", "used"]));
    let names: BTreeSet<&String> =
        [spec, status].iter().filter_map(|hard| hard.as_object()).flat_map(|hard| hard.keys()).collect();
    for name in names {
        let filled = detail::begin(meta, origin, parts.rows).and_then(|()| {
            let hard = quantity(spec, name, "spec.hard")?.or(quantity(status, name, "status.hard")?);
            let used = quantity(used, name, "status.used")?;
            parts
                .rows
                .set("resource", name.as_str())
                .set("hard", hard.map(|q| Cell::Decimal(q.decimal())))
                .set("used", used.map(|q| Cell::Decimal(q.decimal())))
                .set("scopes", json::document(meta.object, &["spec", "scopes"]));
            Ok(())
        });
        parts.end(name, "", filled);
    }
}

/// Member of a limit, and its column.
const LIMITS: [(&str, &str); 5] = [
    ("min", "min"),
    ("max", "max"),
    ("default", "default_limit"),
    ("defaultRequest", "default_request"),
    ("maxLimitRequestRatio", "max_limit_request_ratio"),
];

fn limit_range(meta: &Meta<'_>, origin: Origin<'_>, parts: &mut Parts<'_>) {
    let limits = match json::list(meta.object, &["spec", "limits"]) {
        Ok(limits) => limits.map(Vec::as_slice).unwrap_or_default(),
        Err(reason) => return parts.refused.push(reason),
    };
    for (i, limit) in limits.iter().enumerate() {
        let kind = limit.get("type").and_then(Value::as_str).unwrap_or_default();
        let lists = LIMITS.iter().filter_map(|(member, _)| limit.get(*member)?.as_object());
        let names: BTreeSet<&String> = lists.flat_map(|list| list.keys()).collect();
        for name in names {
            let part = format!("{kind}/{name}");
            let filled = detail::begin(meta, origin, parts.rows).and_then(|()| one_limit(limit, name, parts.rows));
            parts.rows.set("limit", part.as_str()).set("limit_type", kind).set("resource", name.as_str());
            parts.end(&part, &format!("spec.limits[{i}]"), filled);
        }
    }
}

fn one_limit(limit: &Value, name: &str, rows: &mut Rows) -> Result<(), Reason> {
    for (member, column) in LIMITS {
        let list = limit.get(member).unwrap_or(&Value::Null);
        rows.set(column, quantity(list, name, member)?.map(|q| Cell::Decimal(q.decimal())));
    }
    Ok(())
}
