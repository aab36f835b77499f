//! Values that are looked for in stored bytes, and taken out of texts. A value is found in any case, and as JSON spells it.
//! The values themselves never show in a message.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use regex::bytes::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// A shorter value stands in half of all texts by chance.
pub const VALUE_BYTES_MIN: usize = 4;
/// A longer value is no name.
const VALUE_BYTES_MAX: usize = 512;
/// Values that are looked for together.
const VALUES_MAX: usize = 32;
/// What stands in a text where a value stood.
pub const MASK: &str = "[erased]";

/// Values to be found, such as the names and addresses of one person.
#[derive(Clone)]
pub struct Needles {
    values: Arc<[String]>,
    pattern: Regex,
    bytes_max: usize,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({} values)", self.values.len())
    }
}

impl Needles {
    /// These values. Refused where one is so short that it is found by chance, or where there are none or too many.
    pub fn new(values: &[String]) -> Result<Needles> {
        let mut values: Vec<String> = values.iter().map(|value| value.trim().to_owned()).collect();
        values.sort();
        values.dedup();
        if values.is_empty() || values.len() > VALUES_MAX {
            return Err(Error::invalid(format!("name 1 to {VALUES_MAX} values of the subject")));
        }
        let fits = |value: &String| (VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&value.len());
        if !values.iter().all(fits) {
            let why = format!(
                "a value of a subject has {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX} bytes: a shorter one stands in other texts by chance"
            );
            return Err(Error::invalid(why));
        }
        let mut forms: Vec<String> = values.iter().flat_map(|value| forms(value)).collect();
        // The leftmost alternative wins: of two that begin alike, the longer must stand first.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        let bytes_max = forms.first().map_or(0, String::len);
        let pattern = forms.iter().map(|form| regex::escape(form)).collect::<Vec<_>>().join("|");
        let pattern = RegexBuilder::new(&pattern).case_insensitive(true).build();
        let pattern = pattern.map_err(|e| Error::unavailable("prepare to look for a subject", e))?;
        Ok(Needles { values: values.into(), pattern, bytes_max })
    }

    /// The values.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Bytes that two pieces of a file must share, so that no value is cut in two unseen. A letter of another case may take
    /// more bytes.
    pub fn overlap_bytes(&self) -> usize {
        2 * self.bytes_max + 16
    }

    /// Whether one of them is in these bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.pattern.is_match(bytes)
    }

    /// The values as they are spelled in a text, each once.
    pub fn spelled(&self, text: &str) -> Vec<String> {
        let found = self.pattern.find_iter(text.as_bytes());
        let mut found: Vec<String> = found.map(|hit| String::from_utf8_lossy(hit.as_bytes()).into_owned()).collect();
        found.sort();
        found.dedup();
        found
    }

    /// The text with the mask in their place.
    pub fn masked(&self, text: &str) -> String {
        let masked = self.pattern.replace_all(text.as_bytes(), MASK.as_bytes());
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// Which rows of a column hold one; `None` where no row does, or where the column holds neither text nor bytes.
    pub fn rows_of(&self, column: &dyn Array) -> Option<Vec<bool>> {
        let rows: Vec<bool> = match column.data_type() {
            DataType::Utf8 => {
                let cells = column.as_string::<i32>();
                if !self.is_in(cells.value_data()) {
                    return None;
                }
                (0..cells.len()).map(|row| cells.is_valid(row) && self.is_in(cells.value(row).as_bytes())).collect()
            }
            DataType::Binary => {
                let cells = column.as_binary::<i32>();
                (0..cells.len()).map(|row| cells.is_valid(row) && self.is_in(cells.value(row))).collect()
            }
            DataType::LargeUtf8 | DataType::Utf8View => {
                return self.rows_of(cast(column, &DataType::Utf8).ok()?.as_ref());
            }
            DataType::Dictionary(..) => {
                let coded = column.as_any_dictionary_opt()?;
                let of_values = self.rows_of(coded.values().as_ref())?;
                let keys = coded.normalized_keys();
                (0..coded.len()).map(|row| coded.is_valid(row) && of_values[keys[row]]).collect()
            }
            _ => return None,
        };
        rows.contains(&true).then_some(rows)
    }

    /// The column with the mask in their place, in the rows that `masked` names.
    pub fn mask(&self, column: &ArrayRef, masked: &[bool]) -> Result<ArrayRef> {
        let broken = |e| Error::unavailable("mask a column", e);
        if column.data_type() == &DataType::Binary {
            let cells = column.as_binary::<i32>();
            let cell = |row: usize| {
                let bytes = cells.is_valid(row).then(|| cells.value(row))?;
                let bytes = if masked[row] { self.pattern.replace_all(bytes, MASK.as_bytes()) } else { bytes.into() };
                Some(bytes.into_owned())
            };
            let cells: Vec<Option<Vec<u8>>> = (0..cells.len()).map(cell).collect();
            return Ok(Arc::new(cells.iter().map(Option::as_deref).collect::<BinaryArray>()));
        }
        let plain = cast(column, &DataType::Utf8).map_err(broken)?;
        let cells = plain.as_string::<i32>();
        let cell = |row: usize| {
            let text = cells.is_valid(row).then(|| cells.value(row))?;
            Some(if masked[row] { self.masked(text) } else { text.to_owned() })
        };
        let cells: StringArray = (0..cells.len()).map(cell).collect();
        cast(&cells, column.data_type()).map_err(broken)
    }
}

/// How a value may stand in stored bytes: as it is, as a JSON text, as a JSON text of ASCII alone.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::json!(value).to_string();
    let json = json.trim_matches('"').to_owned();
    let ascii = json.chars().flat_map(|c| match c.is_ascii() {
        true => vec![c.to_string()],
        false => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    });
    let ascii: String = ascii.collect();
    vec![value.to_owned(), json, ascii]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::DictionaryArray;
    use arrow::datatypes::Int32Type;

    use super::*;

    fn needles(values: &[&str]) -> Needles {
        Needles::new(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_value_is_found_however_it_is_spelled() {
        let found = needles(&["Jürgen Groß", "j.gross@acme.example"]);
        for text in ["by JÜRGEN GROß, at night", r#"{"by":"J\u00fcrgen Gro\u00df"}"#, "<J.Gross@ACME.example>"] {
            assert!(found.is_in(text.as_bytes()), "{text}");
            assert!(found.masked(text).contains(MASK) && !found.is_in(found.masked(text).as_bytes()), "{text}");
        }
        assert!(!found.is_in("Jürgen Klein".as_bytes()) && !found.is_in(b"j-gross@acme.example"), "a dot is a dot");
        assert_eq!(found.spelled("J.GROSS@acme.example j.gross@acme.example").len(), 2);
    }

    #[test]
    fn what_would_be_found_by_chance_is_refused() {
        for values in [&[][..], &["ana"], &["ana@acme.example", "x"]] {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            assert!(Needles::new(&values).is_err(), "{values:?}");
        }
        let said = format!("{:?}", needles(&["ana@acme.example"]));
        assert!(!said.contains("ana"), "{said}");
    }

    #[test]
    fn columns_of_every_kind_are_looked_through_and_masked() {
        let found = needles(&["ana@acme.example"]);
        let cells = [Some("mail ana@acme.example"), None, Some("bo")];
        let text: ArrayRef = Arc::new(StringArray::from(cells.to_vec()));
        let coded: DictionaryArray<Int32Type> = cells.into_iter().collect();
        let bytes: ArrayRef = Arc::new(BinaryArray::from(cells.map(|cell| cell.map(str::as_bytes)).to_vec()));
        for column in [text, Arc::new(coded), bytes] {
            let rows = found.rows_of(column.as_ref()).unwrap();
            assert_eq!(rows, [true, false, false]);
            let masked = found.mask(&column, &rows).unwrap();
            assert_eq!((masked.data_type(), masked.null_count()), (column.data_type(), 1));
            assert_eq!(found.rows_of(masked.as_ref()), None);
        }
        let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![1]));
        assert_eq!(found.rows_of(numbers.as_ref()), None);
    }
}
