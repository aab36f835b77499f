//! Pods and nodes that are gone: `k8s_pod` and `k8s_node` know what is there, the history of objects what was. The last
//! version of each is read as if it were delivered now, up to when it was deleted.

use std::collections::HashSet;

use engine::arrow::array::{Array, RecordBatch};
use engine::{Result, Scope, Store};
use ledger::answer::{Answer, text};
use ledger::rewrite::instant;

use super::{Place, States, Wish, of_cluster, state};
use crate::kubernetes::rows_of;

/// Objects read by one statement.
const OBJECTS_AT_ONCE: usize = 2_000;

/// An object that is gone: the place of its last version, and when it ended.
struct Gone {
    seq: i64,
    end: Option<i64>,
}

/// Adds what was there in the window and is gone now.
pub async fn add(store: &Store, scope: &Scope, wish: &Wish, states: &mut States) -> Result<()> {
    let there: HashSet<Place> = states.containers.iter().map(|c| c.place.clone()).collect();
    for gone in last_versions(store, scope, wish, "Pod").await?.chunks(OBJECTS_AT_ONCE) {
        for (object, tenant, cluster, end) in versions(store, scope, gone).await? {
            let Some(rows) = of_object(&object, &tenant, &cluster) else { continue };
            let volumes = serde_json::from_str::<serde_json::Value>(&object)
                .ok()
                .and_then(|object| object.pointer("/spec/volumes").map(ToString::to_string));
            for mut container in state::containers(&Answer::over(rows))? {
                container.claims = state::claims(volumes.as_deref().unwrap_or_default());
                container.end = container.end.or(end);
                let (start, end) = container.span(wish);
                if start < end && !container.node.is_empty() && !there.contains(&container.place) {
                    states.containers.push(container);
                }
            }
        }
    }
    let known: HashSet<(String, String)> = states.nodes.iter().map(|n| (n.cluster.clone(), n.name.clone())).collect();
    for gone in last_versions(store, scope, wish, "Node").await?.chunks(OBJECTS_AT_ONCE) {
        for (object, tenant, cluster, end) in versions(store, scope, gone).await? {
            let Some(rows) = of_object(&object, &tenant, &cluster) else { continue };
            for mut node in state::nodes(&Answer::over(rows))? {
                node.end = end;
                let (start, end) = state::clipped(node.start, node.end, wish);
                if start < end && !known.contains(&(node.cluster.clone(), node.name.clone())) {
                    states.nodes.push(node);
                }
            }
        }
    }
    Ok(())
}

fn of_object(object: &str, tenant: &str, cluster: &str) -> Option<RecordBatch> {
    rows_of(&serde_json::from_str(object).ok()?, tenant, cluster)
}

/// The last version of each object of a kind that ended in the window or later and is not there any more.
async fn last_versions(store: &Store, scope: &Scope, wish: &Wish, kind: &str) -> Result<Vec<Gone>> {
    let sql = format!(
        "WITH seen AS (
           SELECT tenant, cluster, namespace, name,
             max(_seq) FILTER (WHERE change = 'applied') AS seq,
             max(_seq) AS last_seq,
             max(ingested_at) FILTER (WHERE change = 'deleted') AS deleted_at
           FROM k8s_object_history
           WHERE kind = '{kind}' AND api_group = ''{cluster}
           GROUP BY tenant, cluster, namespace, name
         )
         SELECT s.seq, s.deleted_at
         FROM seen s
         LEFT JOIN k8s_object o ON o.tenant = s.tenant AND o.cluster = s.cluster AND o.kind = '{kind}' AND o.api_group = ''
           AND o.namespace = s.namespace AND o.name = s.name
         WHERE o.name IS NULL AND s.seq IS NOT NULL
           AND (s.deleted_at IS NULL OR s.deleted_at > {start})
         ORDER BY s.seq",
        cluster = of_cluster(wish, "cluster"),
        start = instant(wish.start)
    );
    let answer = Answer::of(store, scope, sql, &[]).await?;
    let (seqs, ends) = (answer.numbers("seq")?, answer.times("deleted_at")?);
    let gone = |at: usize| Gone { seq: seqs.value(at), end: ends.is_valid(at).then(|| ends.value(at)) };
    Ok((0..answer.rows()).map(gone).collect())
}

type Version = (String, String, String, Option<i64>);

async fn versions(store: &Store, scope: &Scope, gone: &[Gone]) -> Result<Vec<Version>> {
    let seqs: Vec<String> = gone.iter().map(|gone| gone.seq.to_string()).collect();
    let sql = format!(
        "SELECT _seq, tenant, cluster, object FROM k8s_object_history WHERE _seq IN ({}) AND object IS NOT NULL ORDER BY _seq",
        seqs.join(", ")
    );
    let answer = Answer::of(store, scope, sql, &[]).await?;
    let (tenants, clusters, objects) = (answer.texts("tenant")?, answer.texts("cluster")?, answer.texts("object")?);
    let found = answer.numbers("_seq")?;
    let version = |at: usize| {
        let end = gone.iter().find(|gone| gone.seq == found.value(at)).and_then(|gone| gone.end);
        (text(&objects, at), text(&tenants, at), text(&clusters, at), end)
    };
    Ok((0..answer.rows()).map(version).collect())
}
