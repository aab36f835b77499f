//! A text as a tree of parts, before it is known which of them fit together.

use super::TextKind;

/// How finely a stretch of text is cut when it is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grain {
    /// At blank lines.
    Paragraph,
    /// Behind sentences.
    Sentence,
    /// Behind lines.
    Line,
    /// Behind words.
    Word,
    /// In the middle.
    Half,
}

impl Grain {
    /// The next finer one.
    pub(super) fn finer(self) -> Option<Grain> {
        match self {
            Grain::Paragraph => Some(Grain::Sentence),
            Grain::Sentence => Some(Grain::Line),
            Grain::Line => Some(Grain::Word),
            Grain::Word => Some(Grain::Half),
            Grain::Half => None,
        }
    }
}

/// A part of a text.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) start: usize,
    /// Where it ends; the next part begins there.
    pub(super) end: usize,
    /// Its heading, key or symbol; several for a path.
    pub(super) label: Vec<String>,
    /// What it is.
    pub(super) kind: TextKind,
    /// How it is cut where it is too large and has no parts.
    pub(super) grain: Grain,
    /// Its parts, which tile it; none where only `grain` cuts it.
    pub(super) parts: Vec<Node>,
}

impl Node {
    /// A part of prose without parts.
    pub(super) fn prose(start: usize, end: usize) -> Node {
        Node { start, end, label: Vec::new(), kind: TextKind::Prose, grain: Grain::Paragraph, parts: Vec::new() }
    }

    /// A part that is cut at lines.
    pub(super) fn lines(start: usize, end: usize, kind: TextKind) -> Node {
        Node { start, end, label: Vec::new(), kind, grain: Grain::Line, parts: Vec::new() }
    }

    /// The same with a label.
    pub(super) fn named(mut self, label: impl Into<String>) -> Node {
        self.label = vec![label.into()];
        self
    }
}

/// The lines of a text with their places, each with its end of line.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line)
    })
}
