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
    /// Of an older protobuf; whoever does not know it skips it.
    Group,
}

/// Groups within groups that are skipped.
const GROUPS_MAX: usize = 100;

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
        let (number, kind) = self.tag()?;
        let content = match kind {
            3 => self.skip_group(number).map(|()| Content::Group)?,
            kind => self.content(kind)?,
        };
        Ok(Field { number, content })
    }

    fn tag(&mut self) -> Result<(u32, u32), &'static str> {
        let tag = varint(&mut self.rest).ok_or("truncated field tag")?;
        let tag = u32::try_from(tag).map_err(|_| "field number out of range")?;
        match tag >> 3 {
            0 => Err("field number zero"),
            number => Ok((number, tag & 7)),
        }
    }

    fn content(&mut self, kind: u32) -> Result<Content<'a>, &'static str> {
        Ok(match kind {
            0 => varint(&mut self.rest).map(|_| Content::Varint).ok_or("truncated varint")?,
            1 => self.take(8).map(|_| Content::Fixed64)?,
            2 => {
                let length = varint(&mut self.rest).ok_or("truncated length")?;
                Content::Bytes(self.take(usize::try_from(length).map_err(|_| "length out of range")?)?)
            }
            5 => self.take(4).map(|_| Content::Fixed32)?,
            _ => return Err("unknown wire type"),
        })
    }

    fn skip_group(&mut self, number: u32) -> Result<(), &'static str> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            match self.tag()? {
                (number, 3) if open.len() < GROUPS_MAX => open.push(number),
                (number, 4) if number == *innermost => {
                    open.pop();
                }
                (_, kind) => {
                    self.content(kind)?;
                }
            }
        }
        Ok(())
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
        // The tenth byte has room for the last of 64 bits.
        if at == 9 && *byte > 1 {
            return None;
        }
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
    fn a_group_is_one_field() {
        let message = [0x7b, 0x08, 1, 0x13, 0x7c, 0x10, 1];
        let fields: Vec<_> = Fields::of(&message).map(|field| field.map(|field| field.content)).collect();
        assert_eq!(fields, [Err("unknown wire type")], "another group's end");
        let message = [0x7b, 0x08, 1, 0x13, 0x12, 1, b'x', 0x14, 0x7c, 0x10, 1];
        let fields: Vec<_> = Fields::of(&message).map(|field| field.map(|field| field.content)).collect();
        assert_eq!(fields, [Ok(Content::Group), Ok(Content::Varint)]);
        assert!(Fields::of(&[0x7b; 200]).any(|field| field.is_err()), "deeper than anyone nests");
    }

    #[test]
    fn nonsense_is_refused() {
        const WIDE: [u8; 11] = [0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        for message in [&[0x00_u8, 1][..], &[0x0b], &[0x0f], &[0xff; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], &WIDE]
        {
            assert!(Fields::of(message).any(|field| field.is_err()), "{message:?}");
        }
    }
}
