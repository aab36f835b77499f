//! A graph of near neighbours in layers (HNSW) over rows of bytes: built row by row, walked greedily from the top.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::dot::{self, Lanes};

/// Neighbours of a row in the upper layers; twice as many in the lowest.
const LINKS: usize = 16;
const LINKS_LOWEST: usize = 2 * LINKS;
/// Rows kept in view while a row is put in.
const BUILD_WIDTH: usize = 128;
/// More layers than any index that fits into memory has.
const LAYERS_MAX: usize = 16;
const NOBODY: u32 = u32::MAX;

/// Where the rows lie.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// One behind the other.
    pub codes: &'a [i8],
    /// Of each row.
    pub scales: &'a [f32],
    /// Bytes of a row.
    pub stride: usize,
    /// What the processor has.
    pub lanes: Lanes,
}

impl<'a> Rows<'a> {
    /// One row.
    #[inline]
    pub fn row(&self, n: u32) -> &'a [i8] {
        &self.codes[n as usize * self.stride..][..self.stride]
    }

    /// How near a row is to a query, without the query's own scale.
    #[inline]
    pub fn near(&self, query: &[i8], n: u32) -> f32 {
        dot::bytes(query, self.row(n), self.lanes) as f32 * self.scales[n as usize]
    }
}

/// A row and how near it is; nearer is greater, then the smaller number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The product.
    pub near: f32,
    /// The row.
    pub row: u32,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.near.total_cmp(&other.near).then_with(|| other.row.cmp(&self.row))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The graph. Its rows are numbered as those of the index.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Graph {
    /// Neighbours in the lowest layer, [`LINKS_LOWEST`] a row.
    pub(super) lowest: Vec<u32>,
    /// Neighbours in the layers above, by layer and row.
    pub(super) upper: Vec<std::collections::BTreeMap<u32, Vec<u32>>>,
    /// Where a walk begins.
    pub(super) entry: Option<u32>,
}

#[derive(Default)]
struct Walk {
    seen: Vec<u32>,
    round: u32,
}

thread_local! {
    static WALK: RefCell<Walk> = RefCell::new(Walk::default());
}

impl Walk {
    fn begin(&mut self, rows: usize) {
        self.seen.resize(self.seen.len().max(rows), 0);
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.seen.fill(0);
            self.round = 1;
        }
    }

    fn first_time(&mut self, row: u32) -> bool {
        std::mem::replace(&mut self.seen[row as usize], self.round) != self.round
    }
}

/// The layer of a row: each is a sixteenth as full as the one below, told by the row's number alone.
fn layer_of(row: u32) -> usize {
    let mut bits = u64::from(row).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)).leading_zeros() as usize / 4).min(LAYERS_MAX)
}

impl Graph {
    /// Rows that are in it.
    pub fn len(&self) -> usize {
        self.lowest.len() / LINKS_LOWEST
    }

    fn links(&self, layer: usize, row: u32) -> &[u32] {
        if layer == 0 {
            let all = &self.lowest[row as usize * LINKS_LOWEST..][..LINKS_LOWEST];
            return &all[..all.iter().position(|link| *link == NOBODY).unwrap_or(LINKS_LOWEST)];
        }
        self.upper.get(layer - 1).and_then(|rows| rows.get(&row)).map_or(&[], Vec::as_slice)
    }

    fn set_links(&mut self, layer: usize, row: u32, links: &[u32]) {
        if layer == 0 {
            let place = &mut self.lowest[row as usize * LINKS_LOWEST..][..LINKS_LOWEST];
            place.fill(NOBODY);
            place[..links.len()].copy_from_slice(links);
        } else {
            self.upper[layer - 1].insert(row, links.to_vec());
        }
    }

    /// Puts in the next row.
    pub fn insert(&mut self, rows: Rows<'_>) {
        let row = self.len() as u32;
        let layer = layer_of(row);
        self.lowest.resize(self.lowest.len() + LINKS_LOWEST, NOBODY);
        let top = self.upper.len();
        let query = rows.row(row);
        let Some(entry) = self.entry else {
            self.upper.resize_with(layer, Default::default);
            (1..=layer).for_each(|layer| self.set_links(layer, row, &[]));
            self.entry = Some(row);
            return;
        };
        let mut from = Near { near: rows.near(query, entry), row: entry };
        for above in (layer + 1..=top).rev() {
            from = self.descend(rows, query, from, above);
        }
        let mut begin = vec![from];
        for layer in (0..=layer.min(top)).rev() {
            let found = self.walk(rows, query, &begin, layer, BUILD_WIDTH, &mut |_| true);
            let most = if layer == 0 { LINKS_LOWEST } else { LINKS };
            let chosen = choose(rows, rows.scales[row as usize], &found, LINKS);
            self.set_links(layer, row, &chosen);
            for other in chosen {
                self.link_back(rows, layer, other, row, most);
            }
            begin = found;
        }
        if layer > top {
            self.upper.resize_with(layer, Default::default);
            (top + 1..=layer).for_each(|layer| self.set_links(layer, row, &[]));
            self.entry = Some(row);
        }
    }

    fn link_back(&mut self, rows: Rows<'_>, layer: usize, at: u32, new: u32, most: usize) {
        let mut links = self.links(layer, at).to_vec();
        links.push(new);
        if links.len() > most {
            let centre = rows.row(at);
            let mut near: Vec<Near> =
                links.iter().map(|link| Near { near: rows.near(centre, *link), row: *link }).collect();
            near.sort_unstable_by(|a, b| b.cmp(a));
            links = choose(rows, rows.scales[at as usize], &near, most);
        }
        self.set_links(layer, at, &links);
    }

    /// The nearest row that greedy steps reach in a layer.
    fn descend(&self, rows: Rows<'_>, query: &[i8], mut from: Near, layer: usize) -> Near {
        loop {
            let next =
                self.links(layer, from.row).iter().map(|link| Near { near: rows.near(query, *link), row: *link }).max();
            match next.filter(|next| next.near > from.near) {
                Some(next) => from = next,
                None => return from,
            }
        }
    }

    /// The `width` nearest rows that `takes` lets through, the nearest first. The walk goes through all the others, too.
    pub fn search(&self, rows: Rows<'_>, query: &[i8], width: usize, takes: &mut dyn FnMut(u32) -> bool) -> Vec<Near> {
        let Some(entry) = self.entry else { return Vec::new() };
        let mut from = Near { near: rows.near(query, entry), row: entry };
        for layer in (1..=self.upper.len()).rev() {
            from = self.descend(rows, query, from, layer);
        }
        self.walk(rows, query, &[from], 0, width, takes)
    }

    fn walk(
        &self,
        rows: Rows<'_>,
        query: &[i8],
        begin: &[Near],
        layer: usize,
        width: usize,
        takes: &mut dyn FnMut(u32) -> bool,
    ) -> Vec<Near> {
        WALK.with_borrow_mut(|walk| {
            walk.begin(self.len());
            let mut open: BinaryHeap<Near> = BinaryHeap::with_capacity(4 * width);
            let mut found: BinaryHeap<Reverse<Near>> = BinaryHeap::with_capacity(width + 1);
            let mut floor = f32::NEG_INFINITY;
            let mut offer = |near: Near, open: &mut BinaryHeap<Near>, floor: &mut f32| {
                open.push(near);
                if takes(near.row) {
                    found.push(Reverse(near));
                    if found.len() > width {
                        found.pop();
                    }
                    if found.len() == width {
                        *floor = found.peek().map_or(f32::NEG_INFINITY, |worst| worst.0.near);
                    }
                }
            };
            for near in begin {
                walk.first_time(near.row);
                offer(*near, &mut open, &mut floor);
            }
            let mut fresh = Vec::with_capacity(LINKS_LOWEST);
            while let Some(here) = open.pop() {
                if here.near < floor {
                    break;
                }
                fresh.clear();
                fresh.extend(self.links(layer, here.row).iter().copied().filter(|link| walk.first_time(*link)));
                fresh.iter().for_each(|link| dot::prefetch(rows.row(*link)));
                for &row in &fresh {
                    let near = rows.near(query, row);
                    if near > floor {
                        offer(Near { near, row }, &mut open, &mut floor);
                    }
                }
            }
            let mut found: Vec<Near> = found.into_iter().map(|near| near.0).collect();
            found.sort_unstable_by(|a, b| b.cmp(a));
            found
        })
    }
}

/// Of rows sorted by nearness, those that are nearer to the centre than to one chosen before: links into every direction.
/// `near` lacks the centre's own scale.
fn choose(rows: Rows<'_>, centre_scale: f32, sorted: &[Near], most: usize) -> Vec<u32> {
    let mut chosen: Vec<u32> = Vec::with_capacity(most);
    let mut passed = Vec::new();
    for near in sorted {
        if chosen.len() == most {
            break;
        }
        let (row, scale) = (rows.row(near.row), rows.scales[near.row as usize]);
        let shadowed = chosen.iter().any(|other| rows.near(row, *other) * scale > near.near * centre_scale);
        if shadowed { passed.push(near.row) } else { chosen.push(near.row) }
    }
    let room = most - chosen.len();
    chosen.extend(passed.into_iter().take(room.min(most / 2)));
    chosen
}
