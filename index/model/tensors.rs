//! Safetensors files: read tensor by tensor with their shapes held against what is expected, written whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use engine::{Error, Kind, Result};
use half::{bf16, f16};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Bytes of the header, which names every tensor.
const HEADER_BYTES_MAX: u64 = 64 << 20;
/// The header's length stands in the first bytes.
const LENGTH_BYTES: u64 = 8;

/// An open file of tensors.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    file: File,
    /// Where the numbers begin.
    origin: u64,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// A tensor that is looked up and not multiplied: its rows are read from the file when somebody asks for them. The table of a
/// vocabulary holds a quarter of a million rows, of which texts use some thousand; those stay in the system's cache of files.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    file: File,
    /// Where its numbers begin.
    start: u64,
    number: Number,
    /// Numbers a row.
    width: usize,
    rows: usize,
}

impl Table {
    /// Adds `more` to the row of this number and writes the sum. `bytes` is room that is used again. `Unavailable` when the file
    /// cannot be read.
    pub fn add_row(&self, row: usize, more: &[f32], out: &mut [f32], bytes: &mut Vec<u8>) -> Result<()> {
        assert!(row < self.rows && out.len() == self.width, "a row of the table");
        let length = self.width * self.number.width();
        bytes.resize(length, 0);
        let doing = || format!("read row {row} of a table in {}", self.path.display());
        let at = self.start + (row * length) as u64;
        self.file.read_exact_at(bytes, at).map_err(|e| Error::unavailable(&doing(), e))?;
        let sums = out.iter_mut().zip(more);
        match self.number {
            Number::Single => {
                sums.zip(bytes.as_chunks().0).for_each(|((out, more), b)| *out = f32::from_le_bytes(*b) + more)
            }
            Number::Half => {
                sums.zip(bytes.as_chunks().0)
                    .for_each(|((out, more), b)| *out = f16::from_le_bytes(*b).to_f32() + more);
            }
            Number::Brain => {
                sums.zip(bytes.as_chunks().0)
                    .for_each(|((out, more), b)| *out = bf16::from_le_bytes(*b).to_f32() + more);
            }
        }
        Ok(())
    }
}

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    /// IEEE single precision.
    Single,
    /// IEEE half precision.
    Half,
    /// bfloat16.
    Brain,
}

impl Number {
    fn of(dtype: &str) -> Option<Number> {
        Some(match dtype {
            "F32" => Number::Single,
            "F16" => Number::Half,
            "BF16" => Number::Brain,
            _ => return None,
        })
    }

    /// Bytes of one.
    fn width(self) -> usize {
        if self == Number::Single { 4 } else { 2 }
    }
}

impl Tensors {
    /// Opens a file and reads what it says it holds. `Corrupt` when it cannot hold that.
    pub fn open(path: &Path) -> Result<Tensors> {
        let doing = format!("read the weights {}", path.display());
        let broken = |why: String| Error::new(Kind::Corrupt, format!("{doing}: {why}"));
        let file = File::open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::new(Kind::NotFound, format!("there is no file {}", path.display())),
            _ => Error::unavailable(&doing, e),
        })?;
        let size = file.metadata().map_err(|e| Error::unavailable(&doing, e))?.len();
        let mut length = [0; LENGTH_BYTES as usize];
        file.read_exact_at(&mut length, 0).map_err(|_| broken(format!("{size} bytes are no safetensors file")))?;
        let length = u64::from_le_bytes(length);
        let origin = LENGTH_BYTES + length;
        if length > HEADER_BYTES_MAX || origin > size {
            return Err(broken(format!("its header of {length} bytes does not fit into {size} bytes")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact_at(&mut header, LENGTH_BYTES).map_err(|e| Error::unavailable(&doing, e))?;
        let header: Map<String, Value> =
            serde_json::from_slice(&header).map_err(|e| broken(format!("its header is no JSON object: {e}")))?;
        let mut entries = BTreeMap::new();
        for (name, value) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry: Entry = serde_json::from_value(value).map_err(|e| broken(format!("tensor {name}: {e}")))?;
            let (start, end) = entry.data_offsets;
            if start > end || origin.checked_add(end).is_none_or(|end| end > size) {
                return Err(broken(format!("tensor {name} lies beyond the end: the file is cut off or damaged")));
            }
            entries.insert(name, entry);
        }
        Ok(Tensors { path: path.to_owned(), file, origin, entries })
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// A tensor of this shape in single precision.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (number, start) = self.place(name, shape)?;
        let mut bytes = vec![0; shape.iter().product::<usize>() * number.width()];
        let doing = || format!("read tensor {name} of {}", self.path.display());
        self.file.read_exact_at(&mut bytes, start).map_err(|e| Error::unavailable(&doing(), e))?;
        Ok(match number {
            Number::Single => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Number::Half => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Number::Brain => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        })
    }

    /// A tensor of this many rows and columns, to be looked up row by row.
    pub fn table(&self, name: &str, [rows, width]: [usize; 2]) -> Result<Table> {
        let (number, start) = self.place(name, &[rows, width])?;
        let doing = || format!("open tensor {name} of {}", self.path.display());
        let file = self.file.try_clone().map_err(|e| Error::unavailable(&doing(), e))?;
        Ok(Table { path: self.path.clone(), file, start, number, width, rows })
    }

    /// How a tensor of this shape is stored, and where it begins.
    fn place(&self, name: &str, shape: &[usize]) -> Result<(Number, u64)> {
        let wrong =
            |why: String| Error::invalid(format!("the weights {} are not of this model: {why}", self.path.display()));
        let entry = self.entries.get(name).ok_or_else(|| wrong(format!("there is no tensor {name}")))?;
        if entry.shape != shape {
            let (has, wants) = (&entry.shape, shape);
            return Err(wrong(format!("tensor {name} has the shape {has:?}, the configuration asks for {wants:?}")));
        }
        let number = Number::of(&entry.dtype)
            .ok_or_else(|| wrong(format!("tensor {name} holds {}; F32, F16 and BF16 are read", entry.dtype)))?;
        let (start, end) = entry.data_offsets;
        let expected = shape.iter().product::<usize>() * number.width();
        if end - start != expected as u64 {
            return Err(wrong(format!("tensor {name} has {} bytes instead of {expected}", end - start)));
        }
        Ok((number, self.origin + start))
    }
}

/// A tensor to be written, in half precision.
#[derive(Debug)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, row by row.
    pub numbers: Vec<f16>,
}

/// Writes a file of tensors; the caller names it when it is whole.
pub fn write(path: &Path, tensors: &[Written]) -> Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut end = 0;
    for tensor in tensors {
        let start = end;
        end += tensor.numbers.len() * 2;
        let entry = json!({"dtype": "F16", "shape": tensor.shape, "data_offsets": [start, end]});
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Readers that map the file want the numbers aligned.
    header.resize(header.len().next_multiple_of(8), b' ');
    let doing = format!("write {}", path.display());
    let file = File::create(path).map_err(|e| Error::unavailable(&doing, e))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut all = || -> std::io::Result<()> {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for number in tensors.iter().flat_map(|tensor| &tensor.numbers) {
            out.write_all(&number.to_le_bytes())?;
        }
        out.flush()?;
        out.get_ref().sync_all()
    };
    all().map_err(|e| Error::unavailable(&doing, e))
}
