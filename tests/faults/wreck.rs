//! What a disk may hold after the power went: replays a journal up to the cut, keeps what was synced, and lets the dice
//! decide about the rest. A file's bytes are safe after a sync of the file, its name only after a sync of its folder;
//! that is all that POSIX promises, and less than most file systems give.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;

use super::journal::{Change, Record};

/// What happens to changes that no sync covered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Survival {
    /// All are lost.
    Synced,
    /// All are there, as after the end of a process.
    Everything,
    /// Each is there with this probability; a write may be there in part.
    Each(f64),
    /// They are there up to one of them, in the order in which they were made; that one in part.
    InOrder,
}

/// Draws what happens to them.
pub fn draw(dice: &mut StdRng) -> Survival {
    match dice.random_range(0..6) {
        0 | 1 => Survival::Synced,
        2 => Survival::Everything,
        3 => Survival::InOrder,
        _ => Survival::Each(dice.random_range(0.05..0.95)),
    }
}

/// Draws where in the journal the power goes: anywhere between these places, or beside a sync or a change of names there.
pub fn draw_cut(records: &[Record], between: std::ops::Range<u64>, dice: &mut StdRng) -> u64 {
    let first = records.partition_point(|record| record.end < between.start).min(records.len().saturating_sub(1));
    let last = records.partition_point(|record| record.end < between.end).max(first + 1);
    let choice = &records[first..last];
    let sharp = |record: &Record| {
        matches!(
            record.change,
            Change::SyncEnd { .. } | Change::SyncBegin { .. } | Change::Rename { .. } | Change::Remove { .. }
        )
    };
    let edges: Vec<usize> = (0..choice.len()).filter(|at| sharp(&choice[*at])).collect();
    if edges.is_empty() || dice.random_bool(0.5) {
        return choice[dice.random_range(0..choice.len())].end;
    }
    let edge = edges[dice.random_range(0..edges.len())];
    choice[edge.saturating_sub(usize::from(dice.random_bool(0.5)))].end
}

#[derive(Debug, Clone)]
enum FileChange {
    Write { at: u64, data: Bytes },
    Cut { bytes: u64 },
}

#[derive(Debug, Clone)]
enum NameChange {
    Add { name: String, thing: usize },
    Remove { name: String },
    Move { from: String, to: String, thing: usize },
}

#[derive(Debug)]
enum Thing {
    File { safe: Vec<u8>, open: Vec<(usize, FileChange)> },
    Folder { safe: BTreeMap<String, usize>, open: Vec<(usize, NameChange)>, now: BTreeMap<String, usize> },
}

/// A disk as the journal made it.
#[derive(Debug, Default)]
pub struct Wreck {
    things: Vec<Thing>,
    by_inode: HashMap<u64, usize>,
    /// What a sync in progress covers.
    tickets: HashMap<u64, (usize, usize)>,
    step: usize,
}

impl Wreck {
    /// Replays the changes that end at or before `cut`. A sync that failed leaves it to the dice what of its file arrived.
    pub fn replay(records: &[Record], cut: u64, dice: &mut StdRng) -> Wreck {
        let mut wreck = Wreck::default();
        for record in records.iter().take_while(|record| record.end <= cut) {
            wreck.step += 1;
            wreck.change(&record.change, dice);
        }
        wreck
    }

    fn change(&mut self, change: &Change, dice: &mut StdRng) {
        match change {
            Change::Root { file } if self.things.is_empty() => {
                self.things.push(folder());
                self.by_inode.insert(*file, 0);
            }
            Change::Root { .. } => {}
            Change::MakeFile { path, file } => self.make(path, *file, Thing::File { safe: vec![], open: vec![] }),
            Change::MakeDir { path, file } => self.make(path, *file, folder()),
            Change::Write { file, at, data } => self.file(*file, FileChange::Write { at: *at, data: data.clone() }),
            Change::Cut { file, bytes } => self.file(*file, FileChange::Cut { bytes: *bytes }),
            Change::Link { from, to } => {
                let thing = self.find(from);
                let (parent, name) = self.place(to);
                self.rename(parent, NameChange::Add { name, thing });
            }
            Change::Remove { path } => {
                let (parent, name) = self.place(path);
                self.rename(parent, NameChange::Remove { name });
            }
            Change::Rename { from, to } => {
                let thing = self.find(from);
                let ((old, from), (new, to)) = (self.place(from), self.place(to));
                if old == new {
                    self.rename(old, NameChange::Move { from, to, thing });
                } else {
                    self.rename(new, NameChange::Add { name: to, thing });
                    self.rename(old, NameChange::Remove { name: from });
                }
            }
            Change::SyncBegin { file, ticket } => {
                if let Some(thing) = self.by_inode.get(file) {
                    self.tickets.insert(*ticket, (*thing, self.step));
                }
            }
            Change::SyncEnd { ticket } => self.sync(*ticket, |_| true),
            Change::SyncFailed { ticket } => self.sync(*ticket, |_| dice.random_bool(0.5)),
        }
    }

    /// What the sync covers is safe now, or lost if it does not arrive.
    fn sync(&mut self, ticket: u64, mut arrives: impl FnMut(usize) -> bool) {
        let Some((thing, until)) = self.tickets.remove(&ticket) else { return };
        match &mut self.things[thing] {
            Thing::File { safe, open } => {
                let later = open.split_off(open.partition_point(|(step, _)| *step <= until));
                for (_, change) in std::mem::replace(open, later).into_iter().filter(|(step, _)| arrives(*step)) {
                    apply(safe, &change, None);
                }
            }
            Thing::Folder { safe, open, .. } => {
                let later = open.split_off(open.partition_point(|(step, _)| *step <= until));
                for (_, change) in std::mem::replace(open, later).into_iter().filter(|(step, _)| arrives(*step)) {
                    apply_name(safe, &change);
                }
            }
        }
    }

    fn make(&mut self, path: &str, inode: u64, thing: Thing) {
        self.things.push(thing);
        let thing = self.things.len() - 1;
        self.by_inode.insert(inode, thing);
        let (parent, name) = self.place(path);
        self.rename(parent, NameChange::Add { name, thing });
    }

    fn file(&mut self, inode: u64, change: FileChange) {
        let thing = self.by_inode.get(&inode).copied();
        let thing = thing.unwrap_or_else(|| panic!("the journal writes to a file that it did not make: {change:?}"));
        match &mut self.things[thing] {
            Thing::File { open, .. } => open.push((self.step, change)),
            Thing::Folder { .. } => panic!("the journal writes to a folder"),
        }
    }

    fn rename(&mut self, parent: usize, change: NameChange) {
        let step = self.step;
        match &mut self.things[parent] {
            Thing::Folder { open, now, .. } => {
                apply_name(now, &change);
                open.push((step, change));
            }
            Thing::File { .. } => panic!("the journal puts a name below a file: {change:?}"),
        }
    }

    fn find(&self, path: &str) -> usize {
        path.split('/').filter(|part| !part.is_empty()).fold(0, |at, part| match &self.things[at] {
            Thing::Folder { now, .. } => *now.get(part).unwrap_or_else(|| panic!("the journal knows no {path}")),
            Thing::File { .. } => panic!("{path} leads through a file"),
        })
    }

    fn place(&self, path: &str) -> (usize, String) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.find(parent), name.to_owned())
    }

    /// Writes the disk's content into `target`, a folder that does not exist yet; answers how many changes were lost.
    pub fn write_to(&self, target: &Path, survival: Survival, dice: &mut StdRng) -> usize {
        let open = self.things.iter().flat_map(|thing| match thing {
            Thing::File { open, .. } => open.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
            Thing::Folder { open, .. } => open.iter().map(|(step, _)| *step).collect(),
        });
        let mut steps: Vec<usize> = open.collect();
        steps.sort_unstable();
        let last = if steps.is_empty() { 0 } else { steps[dice.random_range(0..steps.len())] };
        let mut fate = Fate { survival, last, lost: 0, dice };
        self.write_thing(0, target, &mut fate);
        fate.lost
    }

    fn write_thing(&self, thing: usize, target: &Path, fate: &mut Fate<'_>) {
        match &self.things[thing] {
            Thing::File { safe, open } => {
                let mut content = safe.clone();
                for (step, change) in open {
                    if let Some(part) = fate.of(*step) {
                        apply(&mut content, change, part);
                    }
                }
                // A file of two names is written twice: nothing of ours changes a file that has a second name.
                let file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(target);
                std::io::Write::write_all(&mut file.expect("a file of the wreck"), &content)
                    .expect("room for the wreck");
            }
            Thing::Folder { safe, open, .. } => {
                fs::create_dir(target).expect("a folder of the wreck");
                let mut names = safe.clone();
                for (step, change) in open {
                    if fate.of(*step).is_some() {
                        apply_name(&mut names, change);
                    }
                }
                for (name, thing) in &names {
                    self.write_thing(*thing, &target.join(name), fate);
                }
            }
        }
    }
}

/// Decides about one change after the other.
struct Fate<'a> {
    survival: Survival,
    /// The last change that arrives where they arrive in order.
    last: usize,
    lost: usize,
    dice: &'a mut StdRng,
}

impl Fate<'_> {
    /// `None`: lost. `Some(None)`: there. `Some(Some(share))`: if it is a write, only this share of it.
    fn of(&mut self, step: usize) -> Option<Option<f64>> {
        let arrives = match self.survival {
            Survival::Synced => false,
            Survival::Everything => true,
            Survival::Each(share) => self.dice.random_bool(share),
            Survival::InOrder => step <= self.last,
        };
        self.lost += usize::from(!arrives);
        let torn = match self.survival {
            Survival::Each(_) => self.dice.random_bool(0.3),
            Survival::InOrder => step == self.last,
            _ => false,
        };
        arrives.then(|| torn.then(|| self.dice.random_range(0.0..1.0)))
    }
}

fn folder() -> Thing {
    Thing::Folder { safe: BTreeMap::new(), open: Vec::new(), now: BTreeMap::new() }
}

/// Changes a file's bytes. Of a torn write only a first share arrives; in half the cases the file has its full length all
/// the same, with zeros for what is missing, as where the length reached the disk and the bytes did not.
fn apply(content: &mut Vec<u8>, change: &FileChange, share: Option<f64>) {
    match change {
        FileChange::Cut { bytes } => content.resize(usize::try_from(*bytes).expect("a file of the test"), 0),
        FileChange::Write { at, data } => {
            let at = usize::try_from(*at).expect("a file of the test");
            let arrived = share.map_or(data.len(), |share| (data.len() as f64 * share) as usize);
            let full_length = share.is_none_or(|_| arrived.is_multiple_of(2));
            let end = at + if full_length { data.len() } else { arrived };
            if content.len() < end {
                content.resize(end, 0);
            }
            content[at..at + arrived].copy_from_slice(&data[..arrived]);
        }
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Add { name, thing } => {
            names.insert(name.clone(), *thing);
        }
        NameChange::Remove { name } => {
            names.remove(name);
        }
        NameChange::Move { from, to, thing } => {
            names.remove(from);
            names.insert(to.clone(), *thing);
        }
    }
}

/// Where two folders differ, sockets and SQLite's shared memory apart. Empty for a journal that missed nothing.
pub fn differences(one: &Path, other: &Path) -> Vec<String> {
    let (left, right) = (contents(one, one), contents(other, other));
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differ = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    let bytes = |side: &BTreeMap<String, Vec<u8>>, name: &str| side.get(name).map(Vec::len);
    differ.map(|name| format!("{name}: {:?} bytes against {:?}", bytes(&left, name), bytes(&right, name))).collect()
}

fn contents(root: &Path, folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        if kind.is_dir() {
            found.insert(name, vec![]);
            found.extend(contents(root, &path));
        } else if kind.is_file() && !name.ends_with("-shm") && entry.metadata().is_ok_and(|meta| meta.nlink() > 0) {
            found.insert(name, fs::read(&path).expect("a file"));
        }
    }
    found
}
