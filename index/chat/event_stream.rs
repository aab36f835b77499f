//! Server-sent events, taken apart as their bytes arrive.

use engine::{Error, Kind, Result};

/// Bytes of one event.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// Events being read.
#[derive(Debug, Default)]
pub struct Events {
    waiting: Vec<u8>,
    name: String,
    data: String,
}

impl Events {
    /// Name and data of the events that these bytes complete; an event without a name has an empty one.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<(String, String)>> {
        self.waiting.extend_from_slice(bytes);
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(len) = self.waiting[from..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.waiting[from..from + len]);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            from += len + 1;
            if line.is_empty() {
                let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
                found.extend(Some((name, data)).filter(|(_, data)| !data.is_empty()));
            } else if let Some(name) = line.strip_prefix("event:") {
                self.name = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
        }
        self.waiting.drain(..from);
        if self.waiting.len() + self.data.len() > EVENT_BYTES_MAX {
            return Err(Error::new(Kind::Unavailable, format!("an event of more than {EVENT_BYTES_MAX} bytes came")));
        }
        Ok(found)
    }

    /// The event that ended with the stream instead of an empty line.
    pub fn finish(&mut self) -> Result<Option<(String, String)>> {
        let last = self.push(b"\n\n")?;
        Ok(last.into_iter().next())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn events_however_they_are_cut() {
        let text = "event: x\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n: a comment\n\ndata:zwei ä\n\ndata: last";
        for size in [1, 2, 7, 100] {
            let mut events = Events::default();
            let mut found: Vec<(String, String)> =
                text.as_bytes().chunks(size).flat_map(|bytes| events.push(bytes).unwrap()).collect();
            found.extend(events.finish().unwrap());
            let found: Vec<_> = found.iter().map(|(name, data)| (name.as_str(), data.as_str())).collect();
            assert_eq!(found, [("x", "{\"a\":\n1}"), ("", "zwei ä"), ("", "last")], "{size}");
        }
        assert!(Events::default().push(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_err());
    }
}
