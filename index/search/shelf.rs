//! What is searchable now, in memory: where each chunk stands, and who may see it as sets of numbers. Pure. A chunk's number
//! is the `_seq` of its row: no other row ever has it, so that no index mistakes one text for another.

use std::collections::{BTreeMap, HashMap};

use engine::Scope;
use engine::facts::scan::admits;
use roaring::RoaringTreemap;

use super::passages::Spot;
use super::wish::Filters;
use crate::material::Place;
use crate::stored::kind_name;
use crate::text::TextKind;

/// Hash of a chunk's input, as bytes.
pub type Hash = [u8; 16];

/// One chunk.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Number of its document.
    pub document: u32,
    pub ordinal: u32,
    pub hash: Hash,
    pub start: u64,
    pub end: u64,
    pub kind: TextKind,
    /// Number of its language's name.
    language: u32,
    /// Number of the name of who was asked for its prefix.
    prefix_by: u32,
    /// Where heading, prefix and text lie.
    pub spot: Spot,
}

/// One document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    pub material: String,
    pub title: String,
    pub path: String,
    pub uri: Option<String>,
    pub version: Option<i64>,
    pub acl: Option<String>,
    /// `_seq` of the row that it was cut from.
    pub seq: i64,
    /// How it was cut.
    pub cut_by: String,
}

/// A document and its chunks by ordinal.
#[derive(Debug)]
pub struct Held {
    pub place: Place,
    pub about: Document,
    pub slots: BTreeMap<u32, u64>,
}

/// A chunk to be put on the shelf.
#[derive(Debug, Clone)]
pub struct Put<'a> {
    pub id: u64,
    pub ordinal: u32,
    pub hash: Hash,
    pub start: u64,
    pub end: u64,
    pub kind: TextKind,
    pub language: Option<&'a str>,
    /// Who was asked for its prefix.
    pub prefix_by: Option<&'a str>,
    pub spot: Spot,
}

/// Sets of chunks by a word.
#[derive(Debug, Default)]
struct Sets(HashMap<String, RoaringTreemap>);

impl Sets {
    fn add(&mut self, word: &str, id: u64) {
        match self.0.get_mut(word) {
            Some(set) => set.insert(id),
            None => self.0.entry(word.to_owned()).or_default().insert(id),
        };
    }

    fn remove(&mut self, word: &str, id: u64) {
        if let Some(set) = self.0.get_mut(word) {
            set.remove(id);
            if set.is_empty() {
                self.0.remove(word);
            }
        }
    }

    fn get(&self, word: &str) -> RoaringTreemap {
        self.0.get(word).cloned().unwrap_or_default()
    }
}

/// Everything searchable.
#[derive(Debug, Default)]
pub struct Shelf {
    slots: HashMap<u64, Slot>,
    documents: Vec<Option<Held>>,
    free: Vec<u32>,
    by_place: HashMap<Place, u32>,
    by_hash: HashMap<Hash, Vec<u64>>,
    /// Of languages, and of who writes prefixes.
    names: Vec<String>,
    live: RoaringTreemap,
    /// Chunks of documents that have several.
    parts: RoaringTreemap,
    tenants: Sets,
    materials: Sets,
    kinds: Sets,
    spoken: Sets,
    /// Chunks by who was asked for their prefix.
    prefixed: Sets,
    /// Chunks that only some groups may see, by their list.
    guarded: Sets,
    /// Chunks that everybody of their tenant may see.
    open: RoaringTreemap,
}

impl Shelf {
    /// Puts a document's row in place; its chunks stay as they are.
    pub fn document(&mut self, place: &Place, about: Document) -> u32 {
        if let Some(number) = self.by_place.get(place) {
            let held = self.documents[*number as usize].as_mut().expect("a place names a document that is there");
            held.about = about;
            return *number;
        }
        let held = Held { place: place.clone(), about, slots: BTreeMap::new() };
        let number = match self.free.pop() {
            Some(number) => {
                self.documents[number as usize] = Some(held);
                number
            }
            None => {
                self.documents.push(Some(held));
                u32::try_from(self.documents.len() - 1).expect("fewer documents than 2^32")
            }
        };
        self.by_place.insert(place.clone(), number);
        number
    }

    /// Puts a chunk in place of the document's chunk of this ordinal; answers the one that it replaces.
    pub fn put(&mut self, document: u32, put: &Put<'_>) -> Option<u64> {
        let language = self.name(put.language.unwrap_or_default());
        let prefix_by = self.name(put.prefix_by.unwrap_or_default());
        let held = self.documents[document as usize].as_mut().expect("chunks are put into a document that is there");
        let replaced = held.slots.insert(put.ordinal, put.id);
        match held.slots.len() {
            1 => {}
            2 => self.parts.extend(held.slots.values().copied()),
            _ => {
                self.parts.insert(put.id);
            }
        }
        self.live.insert(put.id);
        self.tenants.add(&held.place.tenant, put.id);
        self.materials.add(&held.about.material, put.id);
        match &held.about.acl {
            Some(acl) => self.guarded.add(acl, put.id),
            None => {
                self.open.insert(put.id);
            }
        }
        self.kinds.add(kind_name(put.kind), put.id);
        if let Some(language) = put.language {
            self.spoken.add(language, put.id);
        }
        if let Some(name) = put.prefix_by {
            self.prefixed.add(name, put.id);
        }
        self.by_hash.entry(put.hash).or_default().push(put.id);
        let Put { ordinal, hash, start, end, kind, spot, .. } = *put;
        self.slots.insert(put.id, Slot { document, ordinal, hash, start, end, kind, language, prefix_by, spot });
        replaced
    }

    fn name(&mut self, name: &str) -> u32 {
        let known = self.names.iter().position(|known| known == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        u32::try_from(at).expect("few names")
    }

    /// Takes a chunk out; its document goes with its last one only by [`Shelf::forget`].
    pub fn take(&mut self, id: u64) -> Option<Slot> {
        let slot = self.slots.remove(&id)?;
        self.live.remove(id);
        self.open.remove(id);
        let held = self.documents[slot.document as usize].as_mut().expect("a chunk's document is there");
        if held.slots.get(&slot.ordinal) == Some(&id) {
            held.slots.remove(&slot.ordinal);
        }
        self.parts.remove(id);
        if held.slots.len() == 1 {
            for alone in held.slots.values() {
                self.parts.remove(*alone);
            }
        }
        self.tenants.remove(&held.place.tenant, id);
        self.materials.remove(&held.about.material, id);
        self.kinds.remove(kind_name(slot.kind), id);
        self.spoken.remove(&self.names[slot.language as usize], id);
        self.prefixed.remove(&self.names[slot.prefix_by as usize], id);
        // The list may have changed with the document's row: the chunk is looked for in every one.
        self.guarded.0.retain(|_, set| {
            set.remove(id);
            !set.is_empty()
        });
        if let Some(ids) = self.by_hash.get_mut(&slot.hash) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_hash.remove(&slot.hash);
            }
        }
        Some(slot)
    }

    /// Forgets a document without chunks.
    pub fn forget(&mut self, place: &Place) {
        let Some(number) = self.by_place.get(place).copied() else { return };
        if self.documents[number as usize].as_ref().is_some_and(|held| held.slots.is_empty()) {
            self.by_place.remove(place);
            self.documents[number as usize] = None;
            self.free.push(number);
        }
    }

    /// A chunk.
    pub fn slot(&self, id: u64) -> Option<&Slot> {
        self.slots.get(&id)
    }

    /// The document of a chunk.
    pub fn held(&self, slot: &Slot) -> &Held {
        self.documents[slot.document as usize].as_ref().expect("a chunk's document is there")
    }

    /// A document by its place.
    pub fn at(&self, place: &Place) -> Option<&Held> {
        self.by_place.get(place).and_then(|number| self.documents[*number as usize].as_ref())
    }

    /// Every document.
    pub fn documents(&self) -> impl Iterator<Item = &Held> {
        self.documents.iter().flatten()
    }

    /// The language of a chunk.
    pub fn language_of(&self, slot: &Slot) -> Option<&str> {
        self.names.get(slot.language as usize).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Chunks that stand beside others of their document, and for whose prefix this name was not asked yet.
    pub fn unplaced(&self, by: &str) -> RoaringTreemap {
        &self.parts - self.prefixed.get(by)
    }

    /// Chunks of a source.
    pub fn of_material(&self, name: &str) -> RoaringTreemap {
        self.materials.get(name)
    }

    /// Chunks for whose prefix somebody was asked.
    pub fn placed(&self) -> RoaringTreemap {
        self.prefixed.0.values().fold(RoaringTreemap::new(), |all, set| all | set)
    }

    /// The same of one name.
    pub fn placed_by(&self, by: &str) -> RoaringTreemap {
        self.prefixed.get(by)
    }

    /// Every chunk's number.
    pub fn live(&self) -> &RoaringTreemap {
        &self.live
    }

    /// Chunks with the same input.
    pub fn of_hash(&self, hash: &Hash) -> &[u64] {
        self.by_hash.get(hash).map_or(&[], Vec::as_slice)
    }

    /// Different inputs.
    pub fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.by_hash.keys()
    }

    /// The chunks that a scope may see and the filters keep; `None` where that is every one.
    pub fn allowed(&self, scope: &Scope, filters: &Filters) -> Option<RoaringTreemap> {
        let mut allowed: Option<RoaringTreemap> = None;
        let mut keep = |set: RoaringTreemap| {
            allowed = Some(match allowed.take() {
                Some(kept) => kept & set,
                None => set,
            });
        };
        if let Some(tenants) = scope.tenants.named() {
            keep(tenants.iter().fold(RoaringTreemap::new(), |all, tenant| all | self.tenants.get(tenant)));
        }
        if let Some(groups) = scope.groups() {
            let admitted = self.guarded.0.iter().filter(|(acl, _)| admits(Some(acl), groups));
            keep(admitted.fold(self.open.clone(), |all, (_, set)| all | set));
        }
        for (sets, wanted) in
            [(&self.tenants, &filters.tenant), (&self.materials, &filters.source), (&self.spoken, &filters.language)]
        {
            if let Some(word) = wanted {
                keep(sets.get(word));
            }
        }
        if let Some(kind) = filters.kind {
            keep(self.kinds.get(kind_name(kind)));
        }
        if filters.path.is_some() || filters.document.is_some() {
            keep(self.of_documents(filters));
        }
        allowed
    }

    fn of_documents(&self, filters: &Filters) -> RoaringTreemap {
        let fits = |held: &&Held| {
            filters.path.as_deref().is_none_or(|path| held.about.path.starts_with(path))
                && filters.document.as_deref().is_none_or(|name| held.place.document == name)
        };
        self.documents().filter(fits).flat_map(|held| held.slots.values().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn place(tenant: &str, document: &str) -> Place {
        Place { tenant: tenant.to_owned(), document: document.to_owned() }
    }

    fn put(shelf: &mut Shelf, place: &Place, acl: Option<&str>, id: u64, ordinal: u32) -> Option<u64> {
        let about = Document { acl: acl.map(str::to_owned), material: "document".to_owned(), ..Document::default() };
        let number = shelf.document(place, about);
        let hash = [u8::try_from(id).unwrap(); 16];
        let (kind, spot) = (TextKind::Prose, Spot::default());
        shelf.put(
            number,
            &Put { id, ordinal, hash, start: 0, end: 1, kind, language: Some("en"), prefix_by: None, spot },
        )
    }

    fn seen(shelf: &Shelf, scope: &Scope) -> Vec<u64> {
        shelf.allowed(scope, &Filters::default()).unwrap_or_else(|| shelf.live().clone()).into_iter().collect()
    }

    #[test]
    fn who_asks_decides_what_is_allowed() {
        let mut shelf = Shelf::default();
        put(&mut shelf, &place("a", "x"), None, 1, 0);
        put(&mut shelf, &place("a", "y"), Some(r#"["ops"]"#), 2, 0);
        put(&mut shelf, &place("b", "x"), None, 3, 0);
        let ops = || Scope::tenant("a", "p").in_groups(["ops".to_owned()]);
        assert_eq!(seen(&shelf, &Scope::platform("p")), [1, 2, 3]);
        assert_eq!(seen(&shelf, &Scope::tenant("a", "p")), [1]);
        assert_eq!(seen(&shelf, &ops()), [1, 2]);
        assert_eq!(seen(&shelf, &Scope::tenant("c", "p")), Vec::<u64>::new());
        // A filter by another tenant shows nothing, whatever it names.
        let other = Filters { tenant: Some("b".to_owned()), ..Filters::default() };
        assert!(shelf.allowed(&ops(), &other).unwrap().is_empty());
    }

    #[test]
    fn a_chunk_is_replaced_and_taken_out_without_a_trace() {
        let mut shelf = Shelf::default();
        let x = place("a", "x");
        assert_eq!(put(&mut shelf, &x, None, 1, 0), None);
        assert_eq!(put(&mut shelf, &x, Some(r#"["ops"]"#), 2, 0), Some(1));
        shelf.take(1);
        assert_eq!(seen(&shelf, &Scope::tenant("a", "p")), Vec::<u64>::new());
        assert_eq!(shelf.at(&x).unwrap().slots.values().copied().collect::<Vec<_>>(), [2]);
        shelf.take(2);
        shelf.forget(&x);
        assert!(shelf.live().is_empty() && shelf.documents().next().is_none() && shelf.hashes().next().is_none());
        assert!(shelf.guarded.0.is_empty() && shelf.tenants.0.is_empty() && shelf.parts.is_empty());
    }

    #[test]
    fn a_chunk_beside_others_lacks_a_prefix_until_somebody_was_asked() {
        let mut shelf = Shelf::default();
        let unplaced = |shelf: &Shelf| shelf.unplaced("m").into_iter().collect::<Vec<_>>();
        put(&mut shelf, &place("a", "alone"), None, 1, 0);
        assert_eq!(unplaced(&shelf), Vec::<u64>::new());
        let x = place("a", "x");
        for (id, ordinal) in [(2, 0), (3, 1), (4, 2)] {
            put(&mut shelf, &x, None, id, ordinal);
        }
        assert_eq!(unplaced(&shelf), [2, 3, 4]);
        let number = shelf.document(&x, Document::default());
        let (kind, spot) = (TextKind::Prose, Spot::default());
        let asked = Put {
            id: 5,
            ordinal: 0,
            hash: [5; 16],
            start: 0,
            end: 1,
            kind,
            language: None,
            prefix_by: Some("m"),
            spot,
        };
        assert_eq!(shelf.put(number, &asked), Some(2));
        shelf.take(2);
        assert_eq!((unplaced(&shelf), shelf.unplaced("other").len()), (vec![3, 4], 3));
        assert_eq!(shelf.placed().into_iter().collect::<Vec<_>>(), [5]);
        shelf.take(3);
        shelf.take(5);
        assert_eq!(unplaced(&shelf), Vec::<u64>::new(), "the last one stands alone");
        assert!(shelf.placed().is_empty());
    }
}
