//! Reads an input as a row of decisions, for targets whose inputs are built rather than parsed. Bytes that run out are
//! zeros, so that a shorter input means a simpler one.

/// Decisions, one after the other.
pub struct Draw<'a> {
    rest: &'a [u8],
}

impl<'a> Draw<'a> {
    /// Decisions of an input.
    pub fn of(data: &'a [u8]) -> Self {
        Draw { rest: data }
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number % end.max(1)
    }

    /// A few bytes of the input, at most `max`.
    pub fn bytes(&mut self, max: usize) -> &'a [u8] {
        let length = self.below(max + 1).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}
