//! The index as a file: a head, the arrays, a check sum over all of it. A file is whole or refused.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use engine::{Error, Result};
use half::f16;
use sha2::{Digest, Sha256};

use super::graph::Graph;
use super::{VectorIndex, VectorSettings};

/// The form of the file; another one is refused and the index built anew.
const MAGIC: &[u8; 8] = b"STWVEC01";
/// Layers that a file may claim.
const LAYERS_MAX: u64 = 64;

/// Writes beside, then renames.
pub fn save(index: &VectorIndex, path: &Path) -> Result<()> {
    let doing = || format!("write the vectors to {}", path.display());
    let failed = |cause: std::io::Error| Error::unavailable(&doing(), cause);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension("new");
    let mut out = Summed { inner: BufWriter::new(File::create(&beside).map_err(failed)?), sum: Sha256::new() };
    write(index, &mut out).map_err(failed)?;
    let sum = out.sum.finalize();
    out.inner.write_all(&sum).map_err(failed)?;
    let file = out.inner.into_inner().map_err(|cause| failed(cause.into_error()))?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        folder.sync_all().map_err(failed)?;
    }
    Ok(())
}

struct Summed<W> {
    inner: W,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn write(index: &VectorIndex, out: &mut impl Write) -> std::io::Result<()> {
    let number = |value: usize, out: &mut dyn Write| out.write_all(&(value as u64).to_le_bytes());
    out.write_all(MAGIC)?;
    number(index.width, out)?;
    number(index.ids.len(), out)?;
    number(index.walk_width, out)?;
    number(index.graph.entry.map_or(0, |entry| entry as usize + 1), out)?;
    number(index.graph.lowest.len(), out)?;
    number(index.graph.upper.len(), out)?;
    index.ids.iter().try_for_each(|id| out.write_all(&id.to_le_bytes()))?;
    index.halves.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
    index.dead.iter().try_for_each(|dead| out.write_all(&[u8::from(*dead)]))?;
    index.graph.lowest.iter().try_for_each(|link| out.write_all(&link.to_le_bytes()))?;
    for layer in &index.graph.upper {
        number(layer.len(), out)?;
        for (row, links) in layer {
            number(*row as usize, out)?;
            number(links.len(), out)?;
            links.iter().try_for_each(|link| out.write_all(&link.to_le_bytes()))?;
        }
    }
    Ok(())
}

/// Reads a whole file.
pub fn load(path: &Path, settings: VectorSettings) -> Result<VectorIndex> {
    let doing = || format!("read the vectors of {}", path.display());
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|cause| Error::unavailable(&doing(), cause))?;
    parse(&bytes, settings).ok_or_else(|| Error::invalid(format!("{}: the file is not whole", doing())))
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self) -> Option<usize> {
        let bytes = self.take(8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    }

    fn links(&mut self, count: usize, rows: usize) -> Option<Vec<u32>> {
        let bytes = self.take(count.checked_mul(4)?)?;
        let links: Vec<u32> = bytes.as_chunks().0.iter().map(|link| u32::from_le_bytes(*link)).collect();
        links.iter().all(|link| (*link as usize) < rows || *link == u32::MAX).then_some(links)
    }
}

fn parse(bytes: &[u8], settings: VectorSettings) -> Option<VectorIndex> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Sha256::digest(body).as_slice() != sum {
        return None;
    }
    let mut cursor = Cursor(body);
    if cursor.take(8)? != MAGIC {
        return None;
    }
    let (width, count, walk_width, entry) = (cursor.number()?, cursor.number()?, cursor.number()?, cursor.number()?);
    let (lowest, layers) = (cursor.number()?, cursor.number()?);
    let ids: Vec<u64> =
        cursor.take(count.checked_mul(8)?)?.as_chunks().0.iter().map(|id| u64::from_le_bytes(*id)).collect();
    let halves = cursor.take(count.checked_mul(width)?.checked_mul(2)?)?;
    let halves: Vec<f16> = halves.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value)).collect();
    let dead: Vec<bool> = cursor.take(count)?.iter().map(|dead| *dead != 0).collect();
    let mut graph = Graph { lowest: cursor.links(lowest, count)?, ..Graph::default() };
    graph.entry = entry.checked_sub(1).and_then(|entry| u32::try_from(entry).ok());
    for _ in 0..(layers as u64).min(LAYERS_MAX) {
        let mut layer = std::collections::BTreeMap::new();
        for _ in 0..cursor.number()? {
            let (row, links) = (cursor.number()?, cursor.number()?);
            layer.insert(u32::try_from(row).ok()?, cursor.links(links, count)?);
        }
        graph.upper.push(layer);
    }
    let fits = graph.len() <= count && graph.entry.is_none_or(|entry| (entry as usize) < count) && cursor.0.is_empty();
    if !fits || width == 0 {
        return None;
    }
    let mut index = VectorIndex::new(width, settings);
    index.halves = halves;
    for row in 0..count {
        index.round(row);
        if !dead[row] {
            index.rows.set(ids[row], u32::try_from(row).ok()?, count);
        }
    }
    index.dead_count = dead.iter().filter(|dead| **dead).count();
    (index.ids, index.dead, index.graph, index.walk_width) = (ids, dead, graph, walk_width.max(1));
    index.tuned_rows = index.graph.len();
    #[cfg(feature = "cuda")]
    index.card.follow(&index.halves, &index.dead, width);
    Some(index)
}
