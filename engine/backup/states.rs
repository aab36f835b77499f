//! The state database alone, put beside the backups at short intervals: what a restore to a moment between two backups takes
//! instead of the state of the earlier one. Its lines are cut into pieces where their content says so, and a piece that lies
//! there already is not put again; a moment at which nothing had changed is a mark and nothing else.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::place::private_file;
use super::{BackupPlace, PartFile};
use crate::clock::rfc3339;
use crate::error::{Error, Kind, Result};
use crate::state::{Dumped, Line};
use crate::store::Store;

/// What this program writes and reads.
const FORMAT: u32 = 1;
/// A piece is at least so long, and ends behind the first line whose hash is a multiple of [`CUT_ONE_IN`].
const PIECE_BYTES_MIN: usize = 16 << 10;
/// And never longer than this and one line.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Lines of two hundred bytes give pieces of some forty kilobytes.
const CUT_ONE_IN: u64 = 128;

/// A moment whose state lies in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateMark {
    /// The moment, µs since 1970.
    pub at_us: i64,
    /// The list of its pieces, by the hash of its content.
    list: String,
    name: String,
}

/// What a mark holds.
#[derive(Debug, Serialize, Deserialize)]
struct Marked {
    format: u32,
    /// Rows of the audit log at that moment.
    log_rows: i64,
}

/// The state database of one moment, by pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    format: u32,
    tables: Vec<Listed>,
    held: Dumped,
}

/// One table of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    name: String,
    columns: Vec<String>,
    pieces: Vec<Piece>,
}

/// Some lines of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Piece {
    sha256: String,
    size_bytes: u64,
}

/// A state that was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipped {
    /// The moment that it shows, RFC 3339.
    pub at: String,
    /// What it holds; the audit log's tables are not in it.
    pub held: Dumped,
    /// Bytes that were not there before.
    pub new_bytes: u64,
}

/// The state of one moment, read back.
pub(super) struct StateThen {
    pub held: Dumped,
    pub log_rows: i64,
}

impl StateMark {
    fn parse(name: &str) -> Option<StateMark> {
        let (at, list) = name.strip_suffix(".json")?.split_once('-')?;
        Some(StateMark { at_us: at.parse().ok()?, list: list.to_owned(), name: name.to_owned() })
    }

    fn name(at_us: i64, list: &str) -> String {
        format!("{at_us:020}-{list}.json")
    }
}

/// Cuts lines into pieces.
#[derive(Default)]
struct Cutter {
    tables: Vec<Listed>,
    open: Sha256,
    open_bytes: usize,
}

impl Cutter {
    fn table(&mut self, name: &str, columns: &[String]) {
        self.close();
        self.tables.push(Listed { name: name.to_owned(), columns: columns.to_vec(), pieces: Vec::new() });
    }

    fn line(&mut self, line: &[u8]) {
        self.open.update(line);
        self.open_bytes += line.len();
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        let cut = self.open_bytes >= PIECE_BYTES_MIN && hasher.finish().is_multiple_of(CUT_ONE_IN);
        if cut || self.open_bytes >= PIECE_BYTES_MAX {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open_bytes == 0 {
            return;
        }
        let sha256 = hex::encode(std::mem::take(&mut self.open).finalize());
        let size_bytes = std::mem::take(&mut self.open_bytes) as u64;
        let table = self.tables.last_mut().expect("a row stands behind its table");
        table.pieces.push(Piece { sha256, size_bytes });
    }
}

/// Puts the state database as it is now, but for the tables that are a history of their own.
pub async fn ship_state(store: &Store, place: &BackupPlace, histories: &[&str]) -> Result<Shipped> {
    let failed = |e| Error::unavailable("write a dump of the state database", e);
    let newest = place.newest().await?;
    let newest = newest.ok_or_else(|| {
        let why = format!("{} holds no backup: the state between backups needs one before it", place.name());
        Error::new(Kind::NotFound, why)
    })?;
    let last = states(place, newest).await?.pop();
    let known = match &last {
        Some(mark) => pieces(&read_list(place, &mark.list).await?),
        None => HashSet::new(),
    };
    let (snapshot, at_us) = store.pin_state().await?;
    let log_rows = snapshot.log_rows();
    let part = PartFile::new(&store.settings().data, "state");
    let mut sink = std::io::BufWriter::new(private_file(part.path()).map_err(failed)?);
    let mut cutter = Cutter::default();
    let take = &mut |line: Line<'_>| match line {
        Line::Table { name, columns } => Ok(cutter.table(name, columns)),
        Line::Row(row) => {
            let row = row + "\n";
            cutter.line(row.as_bytes());
            sink.write_all(row.as_bytes()).map_err(failed)
        }
    };
    let held = snapshot.lines(store.state().is_sqlite(), &|table| !histories.contains(&table), take).await?;
    cutter.close();
    sink.flush().map_err(failed)?;
    drop(sink);
    let list = List { format: FORMAT, tables: cutter.tables, held };
    let mut new_bytes = put_pieces(place, &list, part.path(), &known).await?;
    let text = serde_json::to_vec(&list).expect("a list of plain fields is JSON");
    let (sha256, is_new) = place.put_bytes(&text).await?;
    new_bytes += if is_new { text.len() as u64 } else { 0 };
    // Last: a state whose pieces are not all there is none.
    let marked = serde_json::to_vec(&Marked { format: FORMAT, log_rows }).expect("plain fields are JSON");
    place.put_state_mark(&StateMark::name(at_us, &sha256), marked).await?;
    Ok(Shipped { at: rfc3339(at_us), held, new_bytes })
}

/// Puts the pieces of a list that are not there yet, out of the file that holds all of them in order.
async fn put_pieces(place: &BackupPlace, list: &List, file: &Path, known: &HashSet<String>) -> Result<u64> {
    let failed = |e| Error::unavailable("read a dump of the state database", e);
    let mut file = std::fs::File::open(file).map_err(failed)?;
    let mut new_bytes = 0;
    for piece in list.tables.iter().flat_map(|table| &table.pieces) {
        let mut bytes = vec![0; usize::try_from(piece.size_bytes).expect("a piece is short")];
        file.read_exact(&mut bytes).map_err(failed)?;
        if !known.contains(&piece.sha256) && place.put_bytes(&bytes).await?.1 {
            new_bytes += piece.size_bytes;
        }
    }
    Ok(new_bytes)
}

/// The moments behind a time whose state lies in a place, oldest first.
pub async fn states(place: &BackupPlace, behind_us: i64) -> Result<Vec<StateMark>> {
    // Behind every name of that moment.
    let names = place.state_marks(&format!("{behind_us:020}.")).await?;
    Ok(names.iter().filter_map(|name| StateMark::parse(name)).collect())
}

/// The last moment behind one and no later than another whose state lies in a place.
pub(super) async fn last_state(place: &BackupPlace, behind_us: i64, to_us: i64) -> Result<Option<StateMark>> {
    Ok(states(place, behind_us).await?.into_iter().rev().find(|mark| mark.at_us <= to_us))
}

fn pieces(list: &List) -> HashSet<String> {
    list.tables.iter().flat_map(|table| &table.pieces).map(|piece| piece.sha256.clone()).collect()
}

/// Content, held against its hash.
async fn content(place: &BackupPlace, sha256: &str) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    let mut take = |piece: &[u8]| {
        whole.extend_from_slice(piece);
        Ok(())
    };
    place.read(sha256, &mut take).await?;
    match hex::encode(Sha256::digest(&whole)) == sha256 {
        true => Ok(whole),
        false => Err(Error::new(Kind::Corrupt, format!("{sha256} in {} is not what was written", place.name()))),
    }
}

async fn read_list(place: &BackupPlace, sha256: &str) -> Result<List> {
    let doing = || format!("{sha256} in {} is no list of a state", place.name());
    let list: List = serde_json::from_slice(&content(place, sha256).await?)
        .map_err(|e| Error::new(Kind::Corrupt, format!("{}: {e}", doing())))?;
    match list.format {
        FORMAT => Ok(list),
        format => Err(Error::new(Kind::Corrupt, format!("{} of format {FORMAT}, but of {format}", doing()))),
    }
}

/// Every hash that marks need: their lists and the pieces of these.
pub(super) async fn named(place: &BackupPlace, marks: &[StateMark]) -> Result<HashSet<String>> {
    let lists: HashSet<&str> = marks.iter().map(|mark| mark.list.as_str()).collect();
    let mut named = HashSet::new();
    for list in lists {
        named.extend(pieces(&read_list(place, list).await?));
        named.insert(list.to_owned());
    }
    Ok(named)
}

/// The marks of before a time go; answers how many, and which are left.
pub(super) async fn prune_states(
    place: &BackupPlace,
    before_us: i64,
    plan_only: bool,
) -> Result<(u64, Vec<StateMark>)> {
    let (gone, kept): (Vec<_>, Vec<_>) = states(place, 0).await?.into_iter().partition(|mark| mark.at_us < before_us);
    if !plan_only {
        for mark in &gone {
            place.remove_state_mark(&mark.name).await?;
        }
    }
    Ok((gone.len() as u64, kept))
}

/// Writes the state of a moment as a dump is written.
pub(super) async fn write_state(place: &BackupPlace, mark: &StateMark, to: &Path) -> Result<StateThen> {
    let failed = |e| Error::unavailable(&format!("write {}", to.display()), e);
    let marked: Marked = serde_json::from_slice(&place.state_mark(&mark.name).await?).map_err(|e| {
        Error::new(Kind::Corrupt, format!("states/{} in {} is no mark of a state: {e}", mark.name, place.name()))
    })?;
    let list = read_list(place, &mark.list).await?;
    let mut out = std::io::BufWriter::new(private_file(to).map_err(failed)?);
    for table in &list.tables {
        writeln!(out, "{}", json!({"table": table.name, "columns": table.columns})).map_err(failed)?;
        for piece in &table.pieces {
            out.write_all(&content(place, &piece.sha256).await?).map_err(failed)?;
        }
    }
    writeln!(out, "{}", json!({"end": list.held.rows})).and_then(|()| out.flush()).map_err(failed)?;
    Ok(StateThen { held: list.held, log_rows: marked.log_rows })
}

/// Reads every piece of some marks; answers what is wrong.
pub(super) async fn damaged(place: &BackupPlace, marks: &[StateMark]) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut read = HashSet::new();
    for mark in marks {
        let mut of_mark = Vec::new();
        match read_list(place, &mark.list).await {
            Ok(list) => of_mark.extend(pieces(&list)),
            Err(error) if error.kind() == Kind::Unavailable => return Err(error),
            Err(error) => findings.push(format!("state of {}: {error}", rfc3339(mark.at_us))),
        }
        for sha256 in of_mark {
            if !read.insert(sha256.clone()) {
                continue;
            }
            match content(place, &sha256).await {
                Ok(_) => {}
                Err(error) if error.kind() == Kind::Unavailable => return Err(error),
                Err(error) => findings.push(format!("state of {}: {error}", rfc3339(mark.at_us))),
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cut(lines: &[String]) -> Vec<Piece> {
        let mut cutter = Cutter::default();
        cutter.table("t", &["a".to_owned()]);
        lines.iter().for_each(|line| cutter.line(line.as_bytes()));
        cutter.close();
        cutter.tables.remove(0).pieces
    }

    #[test]
    fn a_line_that_changes_touches_few_pieces() {
        let mut lines: Vec<String> = (0..20_000).map(|n| format!("[{n},\"{}\"]\n", "x".repeat(n % 90))).collect();
        let before = cut(&lines);
        let bytes: usize = lines.iter().map(String::len).sum();
        assert_eq!(before.iter().map(|piece| piece.size_bytes).sum::<u64>(), bytes as u64);
        assert!(before.len() > 20, "{}", before.len());
        lines[10_000] = "[10000,\"another\"]\n".to_owned();
        lines.insert(3, "[-1,\"new\"]\n".to_owned());
        let known: HashSet<String> = before.iter().map(|piece| piece.sha256.clone()).collect();
        let new = cut(&lines).iter().filter(|piece| !known.contains(&piece.sha256)).count();
        assert!((1..=4).contains(&new), "{new} of {}", before.len());
        assert_eq!(cut(&["y".repeat(3 << 20), "z".to_owned()]).len(), 2, "a long line is a piece of its own");
    }

    #[test]
    fn a_mark_is_named_by_its_moment_and_its_list() {
        let mark = StateMark::parse(&StateMark::name(17, "ab12")).unwrap();
        assert_eq!((mark.at_us, mark.list.as_str()), (17, "ab12"));
        // Everything of a moment lies before what is asked behind it, and everything later behind.
        assert!(mark.name < format!("{:020}.", 17) && StateMark::name(18, "") > format!("{:020}.", 17));
        assert_eq!(StateMark::parse("other.txt"), None);
    }
}
