//! JSON objects as their entries, in order and with the text of each number: a map would keep the last of two entries of
//! one name, and a float would change the price.

use std::collections::HashSet;
use std::fmt;

use engine::{Error, Result};
use ledger::decimal;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The entries of an object.
pub struct Entries<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut entries, mut names) = (Vec::new(), HashSet::new());
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(serde::de::Error::custom(format!("{name} stands there twice")));
                    }
                    entries.push((name, map.next_value()?));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Reader).map(Entries)
    }
}

impl<'a> Entries<'a> {
    /// Reads an object.
    pub fn read(text: &'a str, of: &str) -> Result<Entries<'a>> {
        serde_json::from_str(text).map_err(|e| Error::invalid(format!("read {of}: {e}")))
    }

    /// The raw value of a name.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    /// A text of that name.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }
}

/// A price as the ledger holds it, and its own text where that is not exact.
pub struct Read {
    /// In units of 10⁻¹⁸.
    pub units: i128,
    /// The text, where digits were lost.
    pub raw: Option<String>,
}

/// A price from the text of a JSON number, or of a number in quotes; `None` if it is neither.
pub fn price(value: &RawValue, of: &str) -> Result<Option<Read>> {
    let text = value.get().trim();
    let quoted: Option<String> = text.starts_with('"').then(|| serde_json::from_str(text).unwrap_or_default());
    let text = match &quoted {
        Some(inner) => inner.trim(),
        None if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text,
        None => return Ok(None),
    };
    number(text, of).map(Some).or_else(|wrong| if quoted.is_some() { Ok(None) } else { Err(wrong) })
}

/// A price from plain text.
pub fn number(text: &str, of: &str) -> Result<Read> {
    let parsed = decimal::parse(text).map_err(|why| Error::invalid(format!("{of}: {text} {why}")))?;
    Ok(Read { units: parsed.units, raw: (!parsed.exact).then(|| text.to_owned()) })
}
