//! Every vector against a few queries, exactly. One pass reads all rows, writes each row's products and the best of every
//! [`BLOCK`] rows; the `k`-largest of those bests bounds what can be among the answers from below, so that only the blocks that
//! reach it are looked at again.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, result};
use engine::{Error, Result};
use half::f16;

use super::{Gpu, failed};

/// Queries that one pass answers.
const TOGETHER: usize = 8;
/// Rows whose best product is kept.
const BLOCK: usize = 64;
/// What a row's width is a multiple of.
const WIDTH_STEP: usize = 32;
/// Answers on the floor that are looked at for each query; of more equal ones some are left out.
const LEVEL: usize = 4_096;
/// Answers of one query.
const K_MAX: usize = 1_024;
const THREADS: u32 = 256;
const SELECT_THREADS: u32 = 1_024;
/// Blocks of a scan that a multiprocessor holds at the same time.
const BLOCKS_A_PROCESSOR: u32 = 2;

/// A row and its product with the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The row by number, in the order in which they were put.
    pub row: u32,
    /// The product, which is the cosine where both have length one.
    pub score: f32,
}

/// Vectors on a card.
#[derive(Debug)]
pub struct GpuScan {
    gpu: Arc<Gpu>,
    stream: Arc<CudaStream>,
    /// Numbers of a vector.
    width: usize,
    /// Numbers of a stored row.
    stride: usize,
    rows: CudaSlice<f16>,
    count: usize,
    room: usize,
    scores: CudaSlice<f32>,
    tops: CudaSlice<f32>,
    queries: CudaSlice<f16>,
    floors: CudaSlice<u32>,
    counts: CudaSlice<u32>,
}

impl GpuScan {
    /// No vectors yet, with room for so many; more room is made when it is needed.
    pub fn new(gpu: Arc<Gpu>, width: usize, room: usize) -> Result<GpuScan> {
        let stream = gpu.stream()?;
        let stride = width.next_multiple_of(WIDTH_STEP);
        let room = room.max(BLOCK).next_multiple_of(BLOCK);
        let failed = failed("take memory of the GPU");
        Ok(GpuScan {
            rows: stream.alloc_zeros(room * stride).map_err(&failed)?,
            scores: stream.alloc_zeros(room * TOGETHER).map_err(&failed)?,
            tops: stream.alloc_zeros(room / BLOCK * TOGETHER).map_err(&failed)?,
            queries: stream.alloc_zeros(TOGETHER * stride).map_err(&failed)?,
            floors: stream.alloc_zeros(TOGETHER).map_err(&failed)?,
            counts: stream.alloc_zeros(TOGETHER * 2).map_err(&failed)?,
            gpu,
            stream,
            width,
            stride,
            count: 0,
            room,
        })
    }

    /// Vectors that are there.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts vectors behind the others, one after the other in `rows`.
    pub fn put(&mut self, rows: &[f16]) -> Result<()> {
        assert!(rows.len().is_multiple_of(self.width), "whole vectors are put");
        let more = rows.len() / self.width;
        let needed = self.count + more;
        if needed > self.room {
            self.grow(needed.max(self.room * 2))?;
        }
        let mut to = self.rows.slice_mut(self.count * self.stride..needed * self.stride);
        let sent = if self.stride == self.width {
            self.stream.memcpy_htod(rows, &mut to)
        } else {
            let mut wide = vec![f16::ZERO; more * self.stride];
            for (wide, row) in wide.chunks_exact_mut(self.stride).zip(rows.chunks_exact(self.width)) {
                wide[..self.width].copy_from_slice(row);
            }
            self.stream.memcpy_htod(&wide, &mut to)
        };
        sent.and_then(|()| self.stream.synchronize()).map_err(failed("put vectors onto the GPU"))?;
        self.count = needed;
        Ok(())
    }

    fn grow(&mut self, rows: usize) -> Result<()> {
        let mut larger = GpuScan::new(self.gpu.clone(), self.width, rows)?;
        let used = self.count * self.stride;
        // The copy runs on the other's stream: this one's work is done before and after.
        self.stream.synchronize().map_err(failed("wait for the GPU"))?;
        let mut to = larger.rows.slice_mut(..used);
        let copied = larger.stream.memcpy_dtod(&self.rows.slice(..used), &mut to);
        copied.and_then(|()| larger.stream.synchronize()).map_err(failed("move vectors on the GPU"))?;
        larger.count = self.count;
        *self = larger;
        Ok(())
    }

    /// The nearest `k` rows of each query, the nearest first; of equal ones the first rows. `allowed` has a bit for each row,
    /// the first in the lowest.
    pub fn search(&mut self, queries: &[&[f32]], k: usize, allowed: Option<&[u32]>) -> Result<Vec<Vec<Found>>> {
        if k > K_MAX {
            return Err(Error::invalid(format!("{k} rows were asked for, a scan on the GPU answers with {K_MAX}")));
        }
        if let Some(query) = queries.iter().find(|query| query.len() != self.width) {
            let text = format!("a query has {} numbers, the vectors {}", query.len(), self.width);
            return Err(Error::invalid(text));
        }
        if k == 0 || self.count == 0 {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        self.gpu.context.bind_to_thread().map_err(failed("work with the GPU"))?;
        let allowed = allowed.map(|bits| self.bits(bits)).transpose()?;
        let mut found = Vec::with_capacity(queries.len());
        for queries in queries.chunks(TOGETHER) {
            found.extend(self.pass(queries, k, allowed.as_ref())?);
        }
        Ok(found)
    }

    /// The bits of all rows that the kernel may look at.
    fn bits(&self, bits: &[u32]) -> Result<CudaSlice<u32>> {
        let mut whole = vec![0; self.room.div_ceil(u32::BITS as usize)];
        let used = bits.len().min(whole.len());
        whole[..used].copy_from_slice(&bits[..used]);
        self.stream.clone_htod(&whole).map_err(failed("send a filter to the GPU"))
    }

    fn pass(&mut self, queries: &[&[f32]], k: usize, allowed: Option<&CudaSlice<u32>>) -> Result<Vec<Vec<Found>>> {
        let asking = failed("scan vectors on the GPU");
        let mut asked = vec![f16::ZERO; TOGETHER * self.stride];
        for (asked, query) in asked.chunks_exact_mut(self.stride).zip(queries) {
            asked.iter_mut().zip(*query).for_each(|(half, number)| *half = f16::from_f32(*number));
        }
        self.stream.memcpy_htod(&asked, &mut self.queries).map_err(&asking)?;
        self.stream.memset_zeros(&mut self.counts).map_err(&asking)?;
        let blocks = self.count.div_ceil(BLOCK);
        let (above, level) = (k * BLOCK, LEVEL.min(self.count));
        let places = above + level;
        // SAFETY: only what `collect` wrote is read, as many as it counted.
        let found = unsafe { self.stream.alloc::<u64>(places * queries.len()) }.map_err(&asking)?;
        let (count, blocks_told) = (self.count as i64, blocks as i64);
        let (width, wanted) = (self.stride as i32, k as i32);
        let (above_told, level_told) = (above as i32, level as i32);
        let no_filter = 0u64;
        let grid = (self.gpu.processors * BLOCKS_A_PROCESSOR).min((blocks as u32).div_ceil(THREADS / 32));
        let pitch = self.stride + if self.stride.is_multiple_of(64) { 32 } else { 0 };
        let scanning = LaunchConfig {
            grid_dim: (grid, 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: (TOGETHER * pitch * 2) as u32,
        };
        let mut scan = self.stream.launch_builder(&self.gpu.scan);
        scan.arg(&self.rows).arg(&self.queries);
        match allowed {
            Some(bits) => scan.arg(bits),
            None => scan.arg(&no_filter),
        };
        scan.arg(&self.scores).arg(&self.tops).arg(&count).arg(&width);
        // SAFETY: rows, scores, bests and bits have room for the count rounded up to whole blocks.
        unsafe { scan.launch(scanning) }.map_err(&asking)?;
        let selecting = LaunchConfig {
            grid_dim: (queries.len() as u32, 1, 1),
            block_dim: (SELECT_THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut select = self.stream.launch_builder(&self.gpu.floor_of);
        select.arg(&self.tops).arg(&self.floors).arg(&blocks_told).arg(&wanted);
        // SAFETY: a floor for every query.
        unsafe { select.launch(selecting) }.map_err(&asking)?;
        let collecting =
            LaunchConfig { grid_dim: (grid, queries.len() as u32, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 };
        let mut collect = self.stream.launch_builder(&self.gpu.collect);
        collect.arg(&self.scores).arg(&self.tops).arg(&self.floors).arg(&self.counts).arg(&found);
        collect.arg(&blocks_told).arg(&above_told).arg(&level_told);
        // SAFETY: `found` has room for `above` and `level` a query.
        unsafe { collect.launch(collecting) }.map_err(&asking)?;
        let counts = self.stream.clone_dtoh(&self.counts).map_err(&asking)?;
        let mut answers = Vec::with_capacity(queries.len());
        let (origin, _found) = found.device_ptr(&self.stream);
        for (query, counts) in counts.chunks_exact(2).take(queries.len()).enumerate() {
            let mut rows: Vec<Found> = Vec::new();
            for (first, count, room) in [(0, counts[0], above), (above, counts[1], level)] {
                let mut packed = vec![0u64; (count as usize).min(room)];
                if packed.is_empty() {
                    continue;
                }
                let from = origin + ((query * places + first) * size_of::<u64>()) as u64;
                // SAFETY: so many were written there, and the answer is waited for before it is read.
                unsafe { result::memcpy_dtoh_async(&mut packed, from, self.stream.cu_stream()) }.map_err(&asking)?;
                self.stream.synchronize().map_err(&asking)?;
                rows.extend(packed.into_iter().map(unpack));
            }
            rows.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
            rows.truncate(k);
            answers.push(rows);
        }
        Ok(answers)
    }
}

/// The kernel's pair: the score in the order of unsigned numbers, then the row.
fn unpack(pair: u64) -> Found {
    let (key, row) = (pair as u32, (pair >> 32) as u32);
    let bits = if key & 0x8000_0000 == 0 { !key } else { key & 0x7fff_ffff };
    Found { row, score: f32::from_bits(bits) }
}
