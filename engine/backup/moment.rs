//! A restore to a moment between two backups. Facts are exact: the first backup behind the moment holds every row that was
//! there, and the rows that came later go. The state database is that of the last moment before of which it was put aside,
//! with a backup or alone (`states`), but for tables that are a history of their own ([`Journal`]): these are cut back to the
//! moment, and say what changed in the rest. At such a moment itself everything is what it was ([`To::Whole`]).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::restore::{Dump, DumpOf, Target};
use super::states::last_state;
use super::{BackupPlace, KEYS, Manifest, Summary};
use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::facts::cut::cut;
use crate::settings::Settings;
use crate::state::{Dumped, State};
use crate::table::Table;
use crate::wal::local::{format_keys, parse_keys};

/// The moment that is wanted, µs since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// This one: facts and histories as they were, the state as it was put aside last.
    Exactly(i64),
    /// The last one no later than this of which everything is there: facts, histories and state.
    Whole(i64),
}

/// What a restore is to show.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The moment, µs since 1970.
    pub to_us: i64,
    /// The backup whose facts are cut back.
    pub facts: Summary,
    /// The backup before it.
    pub state: Summary,
    /// The moment whose state is restored, µs since 1970.
    pub state_us: i64,
    /// Rows of the audit log that this state goes with, if it says so.
    pub log_rows: Option<i64>,
}

/// A kind of change, and how often it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// What was done.
    pub action: String,
    /// How often.
    pub count: i64,
}

/// The part of the state database that is a history, and can be had as of any moment. A port.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Its tables: they come from the later backup.
    fn tables(&self) -> &[&'static str];
    /// Leaves in them what was there at the moment; answers what changed in the rest of the state between its own moment and
    /// this one, which is not restored.
    async fn cut(&self, state: &State, moment: &Moment) -> Result<Vec<Changes>>;
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredTo {
    /// The moment, RFC 3339.
    pub to: String,
    /// The backup whose facts were cut back.
    pub facts: Summary,
    /// Rows that came after the moment, and were taken out.
    pub later_rows: u64,
    /// The backup before it.
    pub state: Summary,
    /// The moment whose state was restored, RFC 3339: that of this backup, or one behind it.
    pub state_at: String,
    /// What that state database held.
    pub state_held: Dumped,
    /// Changes of the state between its moment and this one: they are not in what was restored.
    pub missing: Vec<Changes>,
    /// What else is not as it was then, a sentence each.
    pub notes: Vec<String>,
}

impl RestoredTo {
    /// Whether the state is that of the moment, too, as far as its history tells.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }
}

/// The last backup at or before a moment, and the first at or behind it.
fn around(all: &[Manifest], place: &BackupPlace, to_us: i64) -> Result<(Manifest, Manifest)> {
    let missing = |why: String| Error::new(Kind::NotFound, why);
    let Some((oldest, newest)) = all.first().zip(all.last()).map(|(a, b)| (a.at_us, b.at_us)) else {
        return Err(missing(format!("{} holds no backup", place.name())));
    };
    if to_us < oldest {
        let why = format!("no backup in {} is that old: the first is of {}", place.name(), rfc3339(oldest));
        return Err(missing(why));
    }
    if to_us > newest {
        return Err(missing(format!(
            "what came after {}, the newest backup in {}, lies in no backup: make one, then restore to {}",
            rfc3339(newest),
            place.name(),
            rfc3339(to_us)
        )));
    }
    let behind = all.iter().position(|manifest| manifest.at_us >= to_us).expect("the newest is not before it");
    // The moment of a backup needs no other.
    let before = if all[behind].at_us == to_us { behind } else { behind - 1 };
    Ok((all[before].clone(), all[behind].clone()))
}

/// Restores to a moment, into a new data directory. `tables` are those that this program declares.
pub async fn restore_to(
    settings: &Settings,
    from: &BackupPlace,
    tables: &[&'static Table],
    to: To,
    journal: &dyn Journal,
) -> Result<RestoredTo> {
    let all = from.manifests().await?;
    let (To::Exactly(wanted_us) | To::Whole(wanted_us)) = to;
    let (before, after) = around(&all, from, wanted_us)?;
    let mark = last_state(from, before.at_us, wanted_us).await?;
    let state_us = mark.as_ref().map_or(before.at_us, |mark| mark.at_us);
    let (to_us, before, after) = match to {
        To::Exactly(to_us) => (to_us, before, after),
        To::Whole(_) => {
            let (before, after) = around(&all, from, state_us)?;
            (state_us, before, after)
        }
    };
    let declared = |name: &str| tables.iter().copied().find(|table| table.name == name);
    if let Some(entry) = after.tables.iter().find(|entry| declared(&entry.name).is_none()) {
        let why = format!("the backup holds a table {}, which this program does not know: use a newer one", entry.name);
        return Err(Error::new(Kind::Corrupt, why));
    }
    let target = Target::begin(settings).await?;
    target.put_tables(from, &after.files).await?;
    let (mut later_rows, mut notes, mut is_erased) = (0, Vec::new(), false);
    for table in after.tables.iter().filter_map(|entry| declared(&entry.name)) {
        let cut = cut(table, &target.place, to_us).await?;
        later_rows += cut.rows;
        notes.extend(cut.gone);
        is_erased |= cut.is_erased;
    }
    if is_erased {
        notes.push("the state is from before that erasure, and may name the subject: erase it once more".to_owned());
    }
    // A delivery that came later is new again when its sender repeats it.
    target.put_keys(from, &after.files, &|keys| keys_until(&keys, to_us)).await?;
    // Keys and signed roots: a root of a later log would accuse this one of being cut off.
    target.put_beside(from, &before.files).await?;
    target.place.settle().await?;
    let moment = Moment { to_us, facts: after.summary(), state: before.summary(), state_us, log_rows: None };
    let of = mark.as_ref().map_or(DumpOf::Backup(&before), DumpOf::Mark);
    let state = State::open(settings).await?;
    let restored = with_history(&target, &state, from, (of, &after), journal, moment).await;
    state.close().await;
    let (moment, state_held, missing) = restored?;
    target.finish()?;
    let Moment { facts, state, .. } = moment;
    let (to, state_at) = (rfc3339(to_us), rfc3339(state_us));
    Ok(RestoredTo { to, facts, later_rows, state, state_at, state_held, missing, notes })
}

async fn with_history(
    target: &Target<'_>,
    state: &State,
    from: &BackupPlace,
    (of, after): (DumpOf<'_>, &Manifest),
    journal: &dyn Journal,
    mut moment: Moment,
) -> Result<(Moment, Dumped, Vec<Changes>)> {
    let history = |table: &str| journal.tables().contains(&table);
    let rest = |table: &str| !history(table);
    let dumps = [Dump { from, of, wants: &rest }, Dump { from, of: DumpOf::Backup(after), wants: &history }];
    let loaded = target.load(state, &dumps).await?;
    moment.log_rows = loaded[0].log_rows;
    let missing = journal.cut(state, &moment).await?;
    Ok((moment, loaded[0].held, missing))
}

/// The idempotency keys of frames that were acknowledged by then.
fn keys_until(content: &[u8], to_us: i64) -> Vec<u8> {
    let mut keys = parse_keys(content, KEYS, &mut Vec::new());
    keys.retain(|key| key.at_us <= to_us);
    format_keys(&keys)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wal::Key;

    #[test]
    fn a_moment_lies_between_two_backups() {
        let dir = tempfile::tempdir().unwrap();
        let place = BackupPlace::open(dir.path().to_str().unwrap(), &[]).unwrap();
        let of = |at_us: i64| Manifest {
            format: 1,
            id: at_us.to_string(),
            at_us,
            seq: 1,
            program: String::new(),
            tables: Vec::new(),
            state: Dumped::default(),
            log_rows: None,
            files: Vec::new(),
        };
        let all = || vec![of(10), of(20), of(30)];
        for (to_us, wanted) in [(10, (10, 10)), (11, (10, 20)), (20, (20, 20)), (29, (20, 30)), (30, (30, 30))] {
            let (before, after) = around(&all(), &place, to_us).unwrap();
            assert_eq!((before.at_us, after.at_us), wanted, "{to_us}");
        }
        for (to_us, why) in [(9, "that old"), (31, "make one")] {
            assert!(around(&all(), &place, to_us).unwrap_err().to_string().contains(why), "{to_us}");
        }
        assert!(around(&[], &place, 1).unwrap_err().to_string().contains("no backup"));
    }

    #[test]
    fn keys_of_later_frames_are_forgotten() {
        let key = |at_us: i64| Key { key: format!("k{at_us}"), hash: "h".into(), seq: 1, rows: 1, at_us };
        let kept = keys_until(&format_keys(&[key(5), key(6), key(7)]), 6);
        assert_eq!(parse_keys(&kept, "s", &mut Vec::new()), [key(5), key(6)]);
    }
}
