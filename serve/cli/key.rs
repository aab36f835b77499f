//! `stellwerk key`: API keys of the platform and of tenants.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use engine::Result;
use engine::arrow::array::{ArrayRef, StringArray};

use super::exit::Exit;
use super::place::Place;
use super::{print, tables};
use crate::reach::{KeyEntry, KeyWish, reach};

const AFTER: &str = "\
Examples:
  stellwerk key create ci --tenant acme --data ./data     a key that sees and writes acme's rows only
  stellwerk key create ops --data ./data                  a key of the platform
  stellwerk key list --data ./data
  stellwerk key revoke 0f3k2j1h9g8d --data ./data";

/// Make, list and end API keys.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Key {
    /// Make a key and show it, this once.
    Create(Create),
    /// Show every key, never the secrets.
    List(List),
    /// End a key; callers that use it are turned away from now on.
    Revoke(Revoke),
}

/// Make a key and show it, this once.
#[derive(Debug, Args)]
pub struct Create {
    /// What it is for; the caller's name in query_log.
    name: String,
    /// The tenant it speaks for; without it, the key is the platform's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
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
            Key::Revoke(revoke) => revoke.run().await,
        }
    }
}

impl Create {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), true).await?;
        let made = reach.create_key(&KeyWish { name: self.name, tenant: self.tenant }).await;
        reach.close().await?;
        let made = made?;
        print::text(&match self.format {
            KeyFormat::Text => format!("{}\n", made.key),
            KeyFormat::Json => format!("{:#}\n", serde_json::json!(made)),
        })
    }
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
        ("created", cells(|k| Some(k.created_at.clone()))),
        ("last used", cells(|k| k.last_used_at.clone())),
        ("revoked", cells(|k| k.revoked_at.clone())),
    ])
}
