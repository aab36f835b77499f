//! The protobuf wire format, as far as the envelope of a request needs it: fields of one message, in place, no copies.

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub number: u32,
    pub content: Content<'a>,
}

/// What a field holds, by wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Varint,
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32,
}

/// Walks the fields of one message; ends after the first error.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    fn field(&mut self) -> Result<Field<'a>, &'static str> {
        let tag = varint(&mut self.rest).ok_or("truncated field tag")?;
        let number = u32::try_from(tag >> 3).map_err(|_| "field number out of range")?;
        if number == 0 {
            return Err("field number zero");
        }
        let content = match tag & 7 {
            0 => varint(&mut self.rest).map(|_| Content::Varint).ok_or("truncated varint")?,
            1 => self.take(8).map(|_| Content::Fixed64)?,
            2 => {
                let length = varint(&mut self.rest).ok_or("truncated length")?;
                Content::Bytes(self.take(usize::try_from(length).map_err(|_| "length out of range")?)?)
            }
            5 => self.take(4).map(|_| Content::Fixed32)?,
            _ => return Err("unknown wire type"),
        };
        Ok(Field { number, content })
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or("truncated field")?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Reads one varint from the front of `rest`.
pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *rest = &rest[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_walked_and_truncation_is_seen() {
        let message = [0x0a, 2, b'h', b'i', 0x10, 0x96, 1, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4];
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        assert_eq!(fields[0], Field { number: 1, content: Content::Bytes(b"hi") });
        assert_eq!(fields[1], Field { number: 2, content: Content::Varint });
        assert_eq!(fields[2], Field { number: 3, content: Content::Fixed64 });
        assert_eq!(fields[3], Field { number: 4, content: Content::Fixed32 });
        let whole = [4, 7, 16, 21];
        for length in 1..message.len() {
            let truncated = Fields::of(&message[..length]).any(|field| field.is_err());
            assert_eq!(truncated, !whole.contains(&length), "the first {length} bytes");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for message in [&[0x00_u8, 1][..], &[0x0b], &[0x0f], &[0xff; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert!(Fields::of(message).any(|field| field.is_err()), "{message:?}");
        }
    }
}
