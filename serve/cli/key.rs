//! `stellwerk key`: API keys of the platform and of tenants.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use engine::Result;
use engine::arrow::array::{ArrayRef, StringArray};

use super::exit::Exit;
use super::place::{Place, duration};
use super::{print, tables};
use crate::reach::reach;
use crate::reach::trust::{KeyEntry, KeyWish, NewKey};

const AFTER: &str = "\
Scopes: read (ask, search), write (telemetry, hooks, files), keys, directory, budgets, audit, operate; admin is all that the
key's role may do. A tenant's key has read and write unless others are named, the platform's has admin.

Examples:
  stellwerk key create ci --tenant acme --data ./data     a key that sees and writes acme's rows only
  stellwerk key create ana --tenant acme --scope read --team web --expires 90d --data ./data
  stellwerk key create auditor --granted --role auditor --data ./data    sees what the role auditor was granted
  stellwerk key create ops --data ./data                  a key of the platform
  stellwerk key list --data ./data
  stellwerk key rotate 0f3k2j1h9g8d --overlap 24h --data ./data
  stellwerk key revoke 0f3k2j1h9g8d --data ./data

A key that was revoked ends at once in the process that was asked, and within 10 seconds in others on the same database.";

/// Make, list, rotate and end API keys.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Key {
    /// Make a key and show it, this once.
    Create(Create),
    /// Show every key, never the secrets.
    List(List),
    /// Put a new key in an old one's place; the old one stays good for a while.
    Rotate(Rotate),
    /// End a key; callers that use it are turned away from now on.
    Revoke(Revoke),
}

/// Make a key and show it, this once.
#[derive(Debug, Args)]
pub struct Create {
    /// What it is for; the caller's name in query_log and audit.
    name: String,
    /// The tenant it speaks for; without it, the key is the platform's.
    #[arg(long, value_name = "TENANT", conflicts_with = "granted")]
    tenant: Option<String>,
    /// It has no tenant of its own: it sees what its teams and roles were granted.
    #[arg(long)]
    granted: bool,
    /// What it may do; repeat it, or separate by commas.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// A team that it is in: TEAM of its own tenant, or TENANT/TEAM. Repeat it for several.
    #[arg(long = "team", value_name = "TEAM", value_delimiter = ',')]
    teams: Vec<String>,
    /// A role that it has. Repeat it for several.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// When it ends by itself: 12h, 90d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
    /// How it is shown: the bare key, or a JSON document.
    #[arg(long, value_enum, default_value = "text")]
    format: KeyFormat,
    #[command(flatten)]
    place: Place,
}

/// Show every key, never the secrets.
#[derive(Debug, Args)]
pub struct List {
    /// Only this tenant's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// How they are shown.
    #[arg(long, value_enum, default_value = "text")]
    format: KeyFormat,
    #[command(flatten)]
    place: Place,
}

/// Put a new key in an old one's place, and show it, this once.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The id of the old key, which `stellwerk key list` shows.
    id: String,
    /// How long the old key stays good.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    overlap: Duration,
    /// When the new key ends by itself; without it, it is good as long as the old one was.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
    /// How it is shown: the bare key, or a JSON document.
    #[arg(long, value_enum, default_value = "text")]
    format: KeyFormat,
    #[command(flatten)]
    place: Place,
}

/// End a key.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The id that `stellwerk key list` shows: the middle part of swk_ID_….
    id: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeyFormat {
    Text,
    Json,
}

impl Key {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Key::Create(create) => create.run().await,
            Key::List(list) => list.run().await,
            Key::Rotate(rotate) => rotate.run().await,
            Key::Revoke(revoke) => revoke.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<Exit> {
        let wish = KeyWish {
            name: self.name,
            tenant: self.tenant,
            granted: self.granted,
            scopes: Some(self.scopes.join(" ")).filter(|scopes| !scopes.is_empty()),
            teams: self.teams,
            roles: self.roles,
            expires_in_s: self.expires.map(|time| time.as_secs()),
        };
        let reach = reach(&self.place.settings(), true).await?;
        let made = reach.create_key(wish).await;
        reach.close().await?;
        shown(&made?, self.format)
    }
}

impl Rotate {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let made = reach.rotate_key(&self.id, self.overlap, self.expires).await;
        reach.close().await?;
        shown(&made?, self.format)
    }
}

fn shown(made: &NewKey, format: KeyFormat) -> Result<Exit> {
    print::text(&match format {
        KeyFormat::Text => format!("{}\n", made.key),
        KeyFormat::Json => format!("{:#}\n", serde_json::json!(made)),
    })
}

impl List {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let keys = reach.list_keys(self.tenant.as_deref()).await;
        reach.close().await?;
        let keys = keys?;
        print::text(&match self.format {
            KeyFormat::Text => listed(&keys)?,
            KeyFormat::Json => format!("{:#}\n", serde_json::json!(keys)),
        })
    }
}

impl Revoke {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let revoked = reach.revoke_key(&self.id).await;
        reach.close().await?;
        revoked.map(|()| Exit(Exit::OK))
    }
}

fn listed(keys: &[KeyEntry]) -> Result<String> {
    let cells = |cell: fn(&KeyEntry) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(keys.iter().map(|key| cell(key).unwrap_or_default())))
    };
    tables::aligned(vec![
        ("id", cells(|k| Some(k.id.clone()))),
        ("name", cells(|k| Some(k.name.clone()))),
        ("role", cells(|k| Some(k.role.clone()))),
        ("tenant", cells(|k| k.tenant.clone())),
        ("scopes", cells(|k| Some(k.scopes.clone()))),
        ("teams", cells(|k| Some(k.teams.join(" ")))),
        ("created", cells(|k| Some(k.created_at.clone()))),
        ("last used", cells(|k| k.last_used_at.clone())),
        ("expires", cells(|k| k.expires_at.clone())),
        ("rotated to", cells(|k| k.rotated_to.clone())),
        ("revoked", cells(|k| k.revoked_at.clone())),
    ])
}
