//! What each route needs, in plain sight. A door that asks more finely asks the caller's principal itself.

use axum::http::Method;
use ledger::principal::Permission;

/// Beginnings of paths, the first that fits counts. What none names needs [`Permission::Read`].
const NEEDED: &[(&str, Permission)] = &[
    ("/v1/traces", Permission::Write),
    ("/v1/logs", Permission::Write),
    ("/v1/metrics", Permission::Write),
    ("/opentelemetry.proto.collector.", Permission::Write),
    ("/hooks/", Permission::Write),
    ("/ingest/", Permission::Write),
    // Whoever works spends; what budgets there are is told by the operator.
    ("/budgets/", Permission::Write),
    ("/control/", Permission::Operate),
    // A table's retention, a hold or an erasure is about everybody's rows.
    ("/retention", Permission::Operate),
    ("/holds", Permission::Operate),
    ("/erasures", Permission::Operate),
    ("/keys", Permission::Keys),
    ("/audit", Permission::Audit),
];

/// Beginnings of paths that everybody who reads may look at, and that only some may change.
const CHANGED: &[(&str, Permission)] = &[
    ("/tenants", Permission::Directory),
    // Votes and signals; who may start and end flows is asked there.
    ("/approvals", Permission::Write),
    ("/flows", Permission::Write),
    // Whoever writes may ask people; who may agree is asked there.
    ("/scorecards", Permission::Write),
];

/// What a request needs.
pub fn needed(method: &Method, path: &str) -> Permission {
    let changed = CHANGED.iter().find(|(begin, _)| path.starts_with(begin) && !method.is_safe());
    let needed = changed.or_else(|| NEEDED.iter().find(|(begin, _)| path.starts_with(begin)));
    needed.map_or(Permission::Read, |(_, permission)| *permission)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_need_what_is_written() {
        for (method, path, wanted) in [
            (Method::POST, "/sql", Permission::Read),
            (Method::GET, "/tables", Permission::Read),
            (Method::POST, "/v1/logs", Permission::Write),
            (Method::POST, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", Permission::Write),
            (Method::POST, "/hooks/ado", Permission::Write),
            (Method::POST, "/budgets/reserve", Permission::Write),
            (Method::GET, "/tenants/acme", Permission::Read),
            (Method::GET, "/approvals", Permission::Read),
            (Method::POST, "/approvals/x/votes", Permission::Write),
            (Method::GET, "/scorecards", Permission::Read),
            (Method::POST, "/scorecards/exemptions", Permission::Write),
            (Method::PUT, "/tenants/acme", Permission::Directory),
            (Method::DELETE, "/keys/x", Permission::Keys),
            (Method::GET, "/keys", Permission::Keys),
            (Method::GET, "/audit/root", Permission::Audit),
            (Method::POST, "/control/trust", Permission::Operate),
            (Method::GET, "/retention", Permission::Operate),
            (Method::GET, "/holds", Permission::Operate),
            (Method::POST, "/holds/x/release", Permission::Operate),
            (Method::POST, "/erasures", Permission::Operate),
            (Method::GET, "/erasures/x/proof", Permission::Operate),
        ] {
            assert_eq!(needed(&method, path), wanted, "{method} {path}");
        }
    }
}
