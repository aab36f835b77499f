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

/// Numbers as they are stored, for tables that are looked up and not multiplied.
#[derive(Debug, Clone)]
pub enum Table {
    /// In single precision.
    Single(Vec<f32>),
    /// In half precision, half the memory.
    Half(Vec<f16>),
}

impl Table {
    /// Adds `more` to the row of this number and writes the sum.
    pub fn add_row(&self, row: usize, more: &[f32], out: &mut [f32]) {
        let cells = row * out.len()..(row + 1) * out.len();
        match self {
            Table::Single(numbers) => {
                out.iter_mut().zip(&numbers[cells]).zip(more).for_each(|((out, n), more)| *out = n + more);
            }
            Table::Half(numbers) => {
                out.iter_mut().zip(&numbers[cells]).zip(more).for_each(|((out, n), more)| *out = n.to_f32() + more);
            }
        }
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
        let (entry, bytes) = self.bytes(name, shape)?;
        let halves = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
        Ok(match entry.dtype.as_str() {
            "F32" => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            "F16" => halves().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            _ => halves().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        })
    }

    /// A tensor of this shape as it is stored.
    pub fn table(&self, name: &str, shape: &[usize]) -> Result<Table> {
        if self.entries.get(name).is_some_and(|entry| entry.dtype == "F16") {
            let (_, bytes) = self.bytes(name, shape)?;
            return Ok(Table::Half(bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect()));
        }
        self.read(name, shape).map(Table::Single)
    }

    fn bytes(&self, name: &str, shape: &[usize]) -> Result<(&Entry, Vec<u8>)> {
        let wrong =
            |why: String| Error::invalid(format!("the weights {} are not of this model: {why}", self.path.display()));
        let entry = self.entries.get(name).ok_or_else(|| wrong(format!("there is no tensor {name}")))?;
        if entry.shape != shape {
            let (has, wants) = (&entry.shape, shape);
            return Err(wrong(format!("tensor {name} has the shape {has:?}, the configuration asks for {wants:?}")));
        }
        let width = match entry.dtype.as_str() {
            "F32" => 4,
            "F16" | "BF16" => 2,
            other => return Err(wrong(format!("tensor {name} holds {other}; F32, F16 and BF16 are read"))),
        };
        let (start, end) = entry.data_offsets;
        let expected = shape.iter().product::<usize>() * width;
        if end - start != expected as u64 {
            return Err(wrong(format!("tensor {name} has {} bytes instead of {expected}", end - start)));
        }
        let mut bytes = vec![0; expected];
        let doing = || format!("read tensor {name} of {}", self.path.display());
        self.file.read_exact_at(&mut bytes, self.origin + start).map_err(|e| Error::unavailable(&doing(), e))?;
        Ok((entry, bytes))
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
