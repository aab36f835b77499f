//! What a text index says of itself with each commit: which chunks it holds, and a sum over them that no other store's
//! chunks have. Read at the start: what does not hold is filled anew.

use std::collections::HashSet;

use roaring::RoaringTreemap;

use super::shelf::{Hash, Shelf};

/// Changes with the form of the mark.
const FORM: &str = "chunks-1";

/// Chunks and their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The chunks that the index holds.
    pub ids: RoaringTreemap,
    sum: u64,
}

impl Mark {
    /// The mark of everything on the shelf.
    pub fn of(shelf: &Shelf) -> Mark {
        let ids = shelf.live().clone();
        let sum = sum(shelf, &ids);
        Mark { ids, sum }
    }

    /// The mark of everything on the shelf but what is about to go.
    pub fn without(shelf: &Shelf, gone: &HashSet<u64>) -> Mark {
        let mut ids = shelf.live().clone();
        gone.iter().for_each(|id| {
            ids.remove(*id);
        });
        let sum = sum(shelf, &ids);
        Mark { ids, sum }
    }

    /// The chunks of a mark, if they are this store's: every one is still there, and is what it was.
    pub fn known(text: &str, shelf: &Shelf) -> Option<RoaringTreemap> {
        let mark = Mark::parse(text)?;
        (mark.ids.is_subset(shelf.live()) && sum(shelf, &mark.ids) == mark.sum).then_some(mark.ids)
    }

    /// As text.
    pub fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(self.ids.serialized_size());
        self.ids.serialize_into(&mut bytes).expect("memory takes what is written");
        format!("{FORM} {:x} {}", self.sum, hex::encode(bytes))
    }

    fn parse(text: &str) -> Option<Mark> {
        let mut words = text.strip_prefix(FORM)?.split_whitespace();
        let sum = u64::from_str_radix(words.next()?, 16).ok()?;
        let bytes = hex::decode(words.next()?).ok()?;
        Some(Mark { ids: RoaringTreemap::deserialize_from(bytes.as_slice()).ok()?, sum })
    }
}

/// The same whatever the order.
fn sum(shelf: &Shelf, ids: &RoaringTreemap) -> u64 {
    let each = |id: u64| shelf.slot(id).map_or(0, |slot| of(id, &slot.hash));
    ids.iter().map(each).fold(0, u64::wrapping_add)
}

fn of(id: u64, hash: &Hash) -> u64 {
    // The hash is spread well already; the number is mixed in so that two chunks cannot change places.
    let hash = u64::from_le_bytes(hash[..8].try_into().expect("a hash has more bytes"));
    (hash ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::material::Place;
    use crate::search::passages::Spot;
    use crate::search::shelf::{Document, Put};
    use crate::text::TextKind;

    fn shelf(hashes: &[(u64, u8)]) -> Shelf {
        let mut shelf = Shelf::default();
        let place = Place { tenant: "t".to_owned(), document: "d".to_owned() };
        let document = shelf.document(&place, Document::default());
        for (ordinal, (id, hash)) in (0..).zip(hashes) {
            let (kind, spot) = (TextKind::Prose, Spot::default());
            shelf.put(
                document,
                &Put {
                    id: *id,
                    ordinal,
                    hash: [*hash; 16],
                    start: 0,
                    end: 0,
                    kind,
                    language: None,
                    prefix_by: None,
                    spot,
                },
            );
        }
        shelf
    }

    #[test]
    fn a_mark_is_known_by_its_own_store_only() {
        let text = Mark::of(&shelf(&[(1, 1), (7, 2)])).text();
        assert_eq!(Mark::known(&text, &shelf(&[(1, 1), (7, 2), (9, 3)])).map(|ids| ids.len()), Some(2));
        assert_eq!(Mark::known(&text, &shelf(&[(1, 1), (7, 3)])), None, "another text under the same number");
        assert_eq!(Mark::known(&text, &shelf(&[(1, 1)])), None, "a chunk that went while nobody looked");
        for torn in ["", "chunks-1", "chunks-0 1 00", &text[..text.len() - 3], &text[..text.len() / 2]] {
            assert_eq!(Mark::known(torn, &shelf(&[(1, 1), (7, 2)])), None, "{torn}");
        }
    }
}
