//! What the directory knows, kind by kind. The form of a document is Backstage's: `apiVersion`, `kind`, `metadata`, `spec`;
//! its Group, User, Component and System are our Team, Member, Application and Project. The namespace names the tenant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntityKind {
    /// Somebody whose rows are kept apart.
    Tenant,
    /// Work of a tenant that belongs together.
    Project,
    /// People who own something together.
    Team,
    /// A person or a machine in teams.
    Member,
    /// Who pays.
    CostCenter,
    /// Something that runs.
    Application,
    /// How data must be treated.
    DataClass,
    /// Who may see whose rows.
    Grant,
    /// What share of a service's requests must succeed.
    Objective,
}

impl EntityKind {
    /// Every kind.
    pub const ALL: [EntityKind; 9] = [
        EntityKind::Tenant,
        EntityKind::Project,
        EntityKind::Team,
        EntityKind::Member,
        EntityKind::CostCenter,
        EntityKind::Application,
        EntityKind::DataClass,
        EntityKind::Grant,
        EntityKind::Objective,
    ];

    /// The word in documents and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            EntityKind::Tenant => "Tenant",
            EntityKind::Project => "Project",
            EntityKind::Team => "Team",
            EntityKind::Member => "Member",
            EntityKind::CostCenter => "CostCenter",
            EntityKind::Application => "Application",
            EntityKind::DataClass => "DataClass",
            EntityKind::Grant => "Grant",
            EntityKind::Objective => "Objective",
        }
    }

    /// The kind of a word, ours or Backstage's.
    pub fn parse(word: &str) -> Option<Self> {
        let alias = match word {
            "Group" => "Team",
            "User" => "Member",
            "Component" => "Application",
            "System" => "Project",
            own => own,
        };
        EntityKind::ALL.into_iter().find(|kind| kind.as_str() == alias)
    }

    /// Whether the platform may have one of its own, for every tenant to refer to.
    pub fn may_be_shared(self) -> bool {
        matches!(self, EntityKind::CostCenter | EntityKind::DataClass | EntityKind::Grant | EntityKind::Objective)
    }
}

/// The head of a document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub links: Vec<Json>,
}

/// A whole document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document<S> {
    #[serde(rename = "apiVersion")]
    pub _api_version: String,
    // Read before, to know what `spec` is.
    #[serde(rename = "kind")]
    pub _kind: String,
    pub metadata: Metadata,
    pub spec: S,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Declares the `spec` of a kind: every field may be left out, and what is left out is not stored.
macro_rules! spec {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
        pub(super) struct $name { $($(#[$attribute])* pub $field: $type,)* }
    };
}

spec!(TenantSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_center: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_class: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_class: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    egress: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<String>,
});

spec!(ProjectSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_center: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_class: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environments: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    of_type: Option<String>,
});

spec!(Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
});

spec!(TeamSpec {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    of_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<TeamMember>,
});

/// A member of a team, by name or with what it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum TeamMember {
    Name(String),
    Named(NamedMember),
}

/// A member with its role in the team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedMember {
    pub name: String,
    pub role: String,
}

/// What a member of a team is if nothing is said.
pub(super) const PLAIN_MEMBER: &str = "member";

impl TeamMember {
    pub fn name(&self) -> &str {
        match self {
            TeamMember::Name(name) => name,
            TeamMember::Named(member) => &member.name,
        }
    }

    pub fn role(&self) -> &str {
        match self {
            TeamMember::Name(_) => PLAIN_MEMBER,
            TeamMember::Named(member) => &member.role,
        }
    }
}

spec!(MemberSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    member_of: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
});

spec!(CostCenterSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
});

spec!(ApplicationSpec {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    of_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(alias = "system", skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_center: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subcomponent_of: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    provides_apis: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumes_apis: Vec<String>,
});

spec!(DataClassSpec {
    level: i64,
    #[serde(skip_serializing_if = "is_false")]
    personal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days: Option<u32>,
});

spec!(ObjectiveSpec {
    /// As its spans name it, or [`EVERY_SERVICE`].
    service: String,
    /// Percent of requests that succeed.
    target: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
});

/// The services without an objective of their own.
pub(super) const EVERY_SERVICE: &str = "*";

/// Who may see, or write, whose rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantSpec {
    pub to: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<String>,
    #[serde(default)]
    pub access: Access,
}

/// How far a grant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Access {
    #[default]
    Read,
    Write,
}

impl Access {
    pub fn as_str(self) -> &'static str {
        if self == Access::Write { "write" } else { "read" }
    }
}

/// Identity of something in the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityKey {
    /// Whose it is; `platform` for what is shared.
    pub tenant: String,
    /// What it is.
    pub kind: EntityKind,
    /// Its name, unique among its kind and tenant.
    pub id: String,
}

impl std::fmt::Display for EntityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            EntityKind::Tenant => write!(f, "Tenant {}", self.id),
            kind => write!(f, "{} {}/{}", kind.as_str(), self.tenant, self.id),
        }
    }
}

/// Something in the directory, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Identity.
    #[serde(flatten)]
    pub key: EntityKey,
    /// Name for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The team or member that owns it.
    pub owner: Option<String>,
    /// What is particular to the kind.
    pub spec: Json,
    /// Labels; annotations and tags of Backstage among them, under keys of their own.
    pub labels: Json,
}

impl Entity {
    /// What is compared, hashed and kept in the history: everything but the identity.
    pub fn content(&self) -> Json {
        serde_json::json!({
            "title": self.title, "description": self.description, "owner": self.owner, "spec": self.spec, "labels": self.labels,
        })
    }

    /// As a document that can be applied again.
    pub fn document(&self) -> Json {
        let mut metadata = serde_json::Map::new();
        metadata.insert("name".to_owned(), self.key.id.as_str().into());
        if self.key.kind != EntityKind::Tenant && self.key.tenant != engine::query_log::PLATFORM {
            metadata.insert("namespace".to_owned(), self.key.tenant.as_str().into());
        }
        for (name, text) in [("title", &self.title), ("description", &self.description)] {
            if let Some(text) = text {
                metadata.insert(name.to_owned(), text.as_str().into());
            }
        }
        for (name, value) in self.labels.as_object().into_iter().flatten() {
            metadata.insert(name.clone(), value.clone());
        }
        serde_json::json!({
            "apiVersion": super::document::API_VERSION, "kind": self.key.kind.as_str(), "metadata": metadata, "spec": self.spec,
        })
    }
}
