//! `k8s_watch`: how true the tables of a cluster are, a row a kind.

use engine::{Batch, Column, Result, Rows, Store, Table, Type, Value as Cell};

use super::Cluster;
use super::discovery::Resource;
use super::known::ask;

/// The streams that keep the tables equal to clusters.
pub static K8S_WATCH: Table = Table {
    key: &["cluster", "api_group", "kind"],
    time: "contact_at",
    ..Table::new(
        "k8s_watch",
        "How true the Kubernetes tables are: for each cluster and kind that is followed, what its stream does, how many objects it holds, and when the API server was last heard. A `contact_at` older than a minute under the state `watching` means that nobody follows any more.",
        &[
            Column::new("tenant", Type::Name, "Tenant of whoever follows.").required(),
            Column::new("cluster", Type::Name, "Name of the cluster.").required(),
            Column::new("api_group", Type::Name, "API group; empty for the core group.").required(),
            Column::new("api_version", Type::Name, "The version that is read."),
            Column::new("kind", Type::Name, "Kind (`Pod`).").required(),
            Column::new("resource", Type::Name, "Its name in URLs (`pods`)."),
            Column::new(
                "state",
                Type::Name,
                "`listing`; `watching`: the tables are equal up to `resource_version`; `waiting` after a failure; `listed` once, not followed; `gone`: the cluster serves it no more.",
            )
            .required(),
            Column::new("resource_version", Type::Text, "The API server's version up to which everything is here."),
            Column::new("objects", Type::Int, "Objects of the kind."),
            Column::new("contact_at", Type::Time, "When the API server was last heard, be it that nothing changed."),
            Column::new("changed_at", Type::Time, "When the last change came."),
            Column::new("listed_at", Type::Time, "When a list was last read to its end."),
            Column::new("list_seconds", Type::Float, "How long that took.").unit("seconds"),
            Column::new("lists", Type::Int, "Lists that were read to their end since this process follows."),
            Column::new("changes", Type::Int, "Changes that came over watches since this process follows."),
            Column::new("failures", Type::Int, "Requests that failed since this process follows."),
            Column::new("last_failure", Type::Text, "What the last failure said."),
            Column::new("last_failure_at", Type::Time, "When it was."),
        ],
    )
};

/// What a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Listing,
    Watching,
    Waiting,
    Listed,
    Gone,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Listing => "listing",
            State::Watching => "watching",
            State::Waiting => "waiting",
            State::Listed => "listed",
            State::Gone => "gone",
        }
    }
}

/// How one stream is.
#[derive(Debug, Clone)]
pub struct Status {
    resource: Resource,
    pub state: State,
    pub resource_version: Option<String>,
    pub objects: usize,
    pub contact_us: Option<i64>,
    pub changed_us: Option<i64>,
    pub listed_us: Option<i64>,
    pub list_seconds: Option<f64>,
    pub lists: i64,
    pub changes: i64,
    pub failures: i64,
    pub last_failure: Option<(String, i64)>,
}

impl Status {
    /// A stream that begins.
    pub fn new(resource: &Resource) -> Self {
        Status {
            resource: resource.clone(),
            state: State::Listing,
            resource_version: None,
            objects: 0,
            contact_us: None,
            changed_us: None,
            listed_us: None,
            list_seconds: None,
            lists: 0,
            changes: 0,
            failures: 0,
            last_failure: None,
        }
    }

    /// Its row.
    pub fn batch(&self, cluster: &Cluster, now_us: i64) -> Option<Batch> {
        let mut rows = Rows::new(&K8S_WATCH);
        let failure = self.last_failure.as_ref();
        rows.set("tenant", cluster.scope.owner(cluster.tenant.as_deref()))
            .set("cluster", cluster.name.as_str())
            .set("api_group", self.resource.api_group.as_str())
            .set("api_version", self.resource.api_version.as_str())
            .set("kind", self.resource.kind.as_str())
            .set("resource", self.resource.plural.as_str())
            .set("state", self.state.word())
            .set("resource_version", self.resource_version.as_deref())
            .set("objects", i64::try_from(self.objects).ok())
            .set("contact_at", Cell::Time(self.contact_us.unwrap_or(now_us)))
            .set("changed_at", self.changed_us.map(Cell::Time))
            .set("listed_at", self.listed_us.map(Cell::Time))
            .set("list_seconds", self.list_seconds)
            .set("lists", self.lists)
            .set("changes", self.changes)
            .set("failures", self.failures)
            .set("last_failure", failure.map(|(words, _)| crate::json::clip(words)))
            .set("last_failure_at", failure.map(|(_, at)| Cell::Time(*at)));
        rows.end_row().ok()?;
        Some(Batch { table: &K8S_WATCH, rows: rows.finish() })
    }
}

/// The kinds of a cluster that were followed when it was last looked at.
pub async fn followed(store: &Store, cluster: &Cluster) -> Result<Vec<Resource>> {
    let mut found = Vec::new();
    let sql = "SELECT api_group, api_version, kind, resource FROM k8s_watch WHERE cluster = $1 AND state <> 'gone'";
    ask::<4>(store, cluster, sql.to_owned(), vec![cluster.name.clone()], |cells| {
        let [api_group, api_version, kind, plural] = cells.map(|cell| cell.unwrap_or_default().to_owned());
        found.push(Resource { api_group, api_version, kind, plural });
    })
    .await?;
    Ok(found)
}
