//! Parts into chunks: as many neighbours as the budget holds, a large part cut as finely as it must be.

use super::node::{Grain, Node};
use super::split::cuts;
use super::{Budget, HEADING_BYTES_MAX, PATH_MARK, TextKind, context, input, whole_characters};

/// A share of the budget that title and headings may take.
const CONTEXT_SHARE: usize = 4;
/// A text of more bytes a token than this is not counted before it is cut: it cannot fit.
const TOKEN_BYTES_MAX: usize = 16;
/// How deep parts may stand in parts.
const DEPTH_MAX: usize = 24;

/// A chunk's place and heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) heading: String,
    pub(super) kind: TextKind,
}

/// What all parts of a document are packed by.
pub(super) struct Packer<'a> {
    pub(super) budget: &'a Budget,
    pub(super) title: &'a str,
    pub(super) tokens: &'a dyn Fn(&str) -> usize,
}

/// A stretch that is not cut further.
#[derive(Debug, Clone)]
struct Piece {
    start: usize,
    end: usize,
    tokens: usize,
    label: Vec<String>,
    kind: TextKind,
    /// How finely the text was cut in front of it.
    cut: Grain,
    /// How it is cut should it be too large all the same.
    grain: Grain,
}

/// One document being packed.
struct Packing<'a> {
    packer: &'a Packer<'a>,
    text: &'a str,
    out: Vec<Packed>,
}

impl Packer<'_> {
    /// The chunks of a text, in its order. Each node of the top stands for itself: no chunk crosses two of them, but one that
    /// holds all of them, where they may be joined.
    pub(super) fn pack(&self, text: &str, nodes: &[Node], join: bool) -> Vec<Packed> {
        let mut packing = Packing { packer: self, text, out: Vec::new() };
        if let ([first, .., last], true) = (nodes, join) {
            let path = shared_path(nodes);
            let room = packing.room(&packing.heading(&path));
            if let Some(tokens) = packing.fits(first.start, last.end, room) {
                let whole = Piece { end: last.end, label: Vec::new(), ..piece(first, tokens, Grain::Paragraph) };
                packing.emit(&[whole], &path, 0);
                return packing.out;
            }
        }
        for node in nodes {
            packing.node(node, &[], 0);
        }
        packing.out
    }
}

impl Packing<'_> {
    fn node(&mut self, node: &Node, above: &[String], depth: usize) {
        let path: Vec<String> = above.iter().chain(&node.label).cloned().collect();
        let heading = self.heading(&path);
        let mut room = self.room(&heading);
        if let Some(tokens) = self.fits(node.start, node.end, room) {
            let whole = piece(node, tokens, Grain::Paragraph);
            return self.emit(&[Piece { label: Vec::new(), ..whole }], &path, 0);
        }
        let mut pieces = Vec::new();
        if node.parts.is_empty() || depth >= DEPTH_MAX {
            self.pieces(&piece(node, usize::MAX, Grain::Paragraph), room, &mut pieces);
            pieces.iter_mut().for_each(|piece| piece.label.clear());
            return self.fill(pieces, &path, room);
        }
        // What the parts are called stands in the heading, too.
        if node.parts.iter().any(|part| !part.label.is_empty()) {
            room -= room / 8;
        }
        for part in &node.parts {
            let fitting = self.fits(part.start, part.end, room);
            match fitting {
                Some(tokens) => pieces.push(piece(part, tokens, Grain::Paragraph)),
                None if part.label.is_empty() && part.parts.is_empty() => {
                    self.pieces(&piece(part, usize::MAX, Grain::Paragraph), room, &mut pieces);
                }
                // A large part of its own name stands for itself.
                None => {
                    self.fill(std::mem::take(&mut pieces), &path, room);
                    self.node(part, &path, depth + 1);
                }
            }
        }
        self.fill(pieces, &path, room);
    }

    /// Tokens of a stretch, if they fit.
    fn fits(&self, start: usize, end: usize, room: usize) -> Option<usize> {
        let text = self.text[start..end].trim();
        if text.len() > room.saturating_mul(TOKEN_BYTES_MAX) {
            return None;
        }
        Some((self.packer.tokens)(text)).filter(|tokens| *tokens <= room)
    }

    /// Cuts a stretch until every piece fits.
    fn pieces(&self, whole: &Piece, room: usize, out: &mut Vec<Piece>) {
        let text = &self.text[whole.start..whole.end];
        let mut grain = whole.grain;
        let ends = loop {
            let ends = cuts(text, grain);
            if ends.len() > 1 {
                break ends;
            }
            match grain.finer() {
                Some(finer) => grain = finer,
                None => return out.push(whole.clone()),
            }
        };
        let mut from = 0;
        for (i, end) in ends.into_iter().enumerate() {
            let (start, stop) = (whole.start + from, whole.start + end);
            from = end;
            let cut = if i == 0 { whole.cut } else { grain };
            let part = Piece { start, end: stop, tokens: usize::MAX, cut, grain, ..whole.clone() };
            match self.fits(start, stop, room) {
                Some(tokens) => out.push(Piece { tokens, ..part }),
                None => self.pieces(&Piece { grain: grain.finer().unwrap_or(Grain::Half), ..part }, room, out),
            }
        }
    }

    /// Spreads pieces over as few chunks as hold them, of about the same size.
    fn fill(&mut self, pieces: Vec<Piece>, path: &[String], room: usize) {
        if pieces.is_empty() {
            return;
        }
        let overlap = self.packer.budget.overlap_tokens.min(room / 2);
        let total: usize = pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.tokens));
        let shares = total.div_ceil(room.saturating_sub(overlap).max(1)).max(1);
        let target = total / shares;
        let (mut from, mut sum) = (0, 0_usize);
        for at in 0..pieces.len() {
            let next = pieces[at].tokens;
            let held = if from == 0 { room } else { room - overlap };
            let over = sum.saturating_add(next) > held;
            let enough = shares > 1 && sum.saturating_add(next / 2) > target && pieces[at].cut <= Grain::Sentence;
            if at > from && (over || enough) {
                self.emit_after(&pieces, from, at, path, overlap);
                (from, sum) = (at, 0);
            }
            sum = sum.saturating_add(next);
        }
        self.emit_after(&pieces, from, pieces.len(), path, overlap);
    }

    /// A chunk of `pieces[from..to]`; where the text was cut inside a paragraph it begins with the end of the one before.
    fn emit_after(&mut self, pieces: &[Piece], from: usize, to: usize, path: &[String], overlap: usize) {
        let mut begin = from;
        if pieces[from].cut > Grain::Paragraph && pieces[from].kind == TextKind::Prose {
            let mut repeated = 0;
            while begin > 0 && repeated + pieces[begin - 1].tokens <= overlap && pieces[begin].cut > Grain::Paragraph {
                begin -= 1;
                repeated += pieces[begin].tokens;
            }
        }
        self.emit(&pieces[begin..to], path, from - begin);
    }

    /// Writes a chunk, or several where the pieces together have more tokens than each for itself. `repeated` pieces stand
    /// in the chunk before, too.
    fn emit(&mut self, pieces: &[Piece], path: &[String], repeated: usize) {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return };
        let heading = self.heading(&joined(path, &pieces[repeated..]));
        let (start, end) = trimmed(self.text, first.start, last.end);
        if start == end {
            return;
        }
        if self.holds(&heading, &self.text[start..end]) {
            return self.out.push(Packed { start, end, heading, kind: kind(&pieces[repeated..]) });
        }
        if repeated > 0 {
            return self.emit(&pieces[repeated..], path, 0);
        }
        if pieces.len() > 1 {
            let (left, right) = pieces.split_at(pieces.len() / 2);
            self.emit(left, path, 0);
            return self.emit(right, path, 0);
        }
        let mut finer = Vec::new();
        self.pieces(&Piece { tokens: usize::MAX, ..first.clone() }, 0, &mut finer);
        if finer.len() > 1 {
            let room = self.room(&heading);
            finer.iter_mut().for_each(|piece| piece.tokens = (self.packer.tokens)(&self.text[piece.start..piece.end]));
            return self.refill(finer, path, room);
        }
        self.out.push(Packed { start, end, heading, kind: first.kind });
    }

    /// The smallest pieces of a stretch that was miscounted, in halves of what fits.
    fn refill(&mut self, pieces: Vec<Piece>, path: &[String], room: usize) {
        let (mut from, mut sum) = (0, 0_usize);
        for at in 0..pieces.len() {
            if at > from && sum.saturating_add(pieces[at].tokens) > (room / 2).max(1) {
                self.emit(&pieces[from..at], path, 0);
                (from, sum) = (at, 0);
            }
            sum = sum.saturating_add(pieces[at].tokens);
        }
        self.emit(&pieces[from..], path, 0);
    }

    /// A path as a heading that leaves most of the budget to the text: its outer parts go first.
    fn heading(&self, path: &[String]) -> String {
        let most = self.packer.budget.tokens_max / CONTEXT_SHARE;
        let mut parts = path;
        loop {
            let heading = parts.join(PATH_MARK);
            let heading = whole_characters(&heading, HEADING_BYTES_MAX).to_owned();
            let tokens = (self.packer.tokens)(&context(self.packer.title, &heading));
            match parts {
                [] => return String::new(),
                _ if tokens <= most => return heading,
                [_, rest @ ..] => parts = rest,
            }
        }
    }

    /// Whether a model reads all of a chunk.
    fn holds(&self, heading: &str, text: &str) -> bool {
        let (max, tokens) = (self.packer.budget.tokens_max, self.packer.tokens);
        let crowded = || tokens(&context(self.packer.title, heading)) > max / 2 && tokens(text) <= self.room(heading);
        tokens(&input(self.packer.title, heading, "", text)) <= max || crowded()
    }

    /// Tokens left for the text under a heading. A title that takes more than half leaves the other half: then the model
    /// does not see all of the chunk's end, which is still found by its words.
    fn room(&self, heading: &str) -> usize {
        let context = context(self.packer.title, heading);
        let taken = if context.is_empty() { 0 } else { (self.packer.tokens)(&context) };
        let max = self.packer.budget.tokens_max;
        max.saturating_sub(taken).max(max / 2).max(1)
    }
}

/// What the paths of all nodes begin with.
fn shared_path(nodes: &[Node]) -> Vec<String> {
    let mut shared = nodes.first().map(|node| node.label.clone()).unwrap_or_default();
    for node in nodes {
        let same = shared.iter().zip(&node.label).take_while(|(a, b)| a == b).count();
        shared.truncate(same);
    }
    shared
}

fn piece(node: &Node, tokens: usize, cut: Grain) -> Piece {
    let Node { start, end, label, kind, grain, .. } = node;
    Piece { start: *start, end: *end, tokens, label: label.clone(), kind: *kind, cut, grain: *grain }
}

/// The path with the names of what a chunk holds.
fn joined(path: &[String], pieces: &[Piece]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    let single = pieces.len() == 1;
    if single && pieces[0].label.len() > 1 {
        return path.iter().chain(&pieces[0].label).cloned().collect();
    }
    for label in pieces.iter().filter_map(|piece| piece.label.last()) {
        if !names.contains(&label.as_str()) {
            names.push(label);
        }
    }
    let mut whole = path.to_vec();
    if !names.is_empty() {
        whole.push(names.join(", "));
    }
    whole
}

/// What most of the text is.
fn kind(pieces: &[Piece]) -> TextKind {
    let bytes = |kind: TextKind| pieces.iter().filter(|p| p.kind == kind).map(|p| p.end - p.start).sum::<usize>();
    let kinds = [TextKind::Prose, TextKind::Code, TextKind::Config, TextKind::Log];
    kinds
        .into_iter()
        .reduce(|most, kind| if bytes(kind) > bytes(most) { kind } else { most })
        .unwrap_or(TextKind::Prose)
}

/// The stretch without white space at its ends.
fn trimmed(text: &str, start: usize, end: usize) -> (usize, usize) {
    let words = &text[start..end];
    let front = words.len() - words.trim_start().len();
    if front == words.len() {
        return (start, start);
    }
    (start + front, start + words.trim_end().len())
}
