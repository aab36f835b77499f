//! The arithmetic under the model: matrix products over packed weights, and what runs over rows between them. Every
//! function takes an [`Isa`], so that tests hold each path against the others on one machine.
//!
//! A product is `rows x depth` by `depth x columns`. The right side is packed once into panels of [`PANEL`] columns, and the
//! same panels serve every processor; a path only differs in how many rows of a tile it keeps in registers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod pack;
mod portable;
pub mod rows;

use pack::{Panels, QuantizedPanels};

/// Columns of a panel: two registers of AVX-512, four of AVX2.
pub const PANEL: usize = 32;
/// Rows that take part in one walk over the panels, so that they stay in the second level of cache.
const ROWS_TOGETHER: usize = 192;

/// The instructions that a path may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// What every processor has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 (F, BW, DQ, VL) without VNNI: bytes are multiplied as AVX2 does it.
    Avx512,
    /// AVX-512 with VNNI.
    Vnni,
}

impl Isa {
    /// The best that this processor has.
    pub fn best() -> Isa {
        *Isa::present().last().expect("the portable path is always there")
    }

    /// Everything that this processor has, the best last.
    pub fn present() -> Vec<Isa> {
        let mut found = vec![Isa::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                found.push(Isa::Avx2);
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                    found.push(Isa::Avx512);
                    if has!("avx512vnni") {
                        found.push(Isa::Vnni);
                    }
                }
            }
        }
        found
    }
}

/// A matrix whose rows lie `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a, T> {
    /// The numbers, from the first row's first.
    pub cells: &'a [T],
    /// Numbers between the starts of two rows.
    pub stride: usize,
    /// Rows.
    pub rows: usize,
}

impl<'a, T> Left<'a, T> {
    fn check(&self, depth: usize) {
        let needed = if self.rows == 0 { 0 } else { (self.rows - 1) * self.stride + depth };
        assert!(
            self.stride >= depth && self.cells.len() >= needed,
            "the left side has fewer cells than its shape says"
        );
    }
}

/// Where a product goes.
#[derive(Debug)]
pub struct Out<'a> {
    /// The numbers, from the first row's first.
    pub cells: &'a mut [f32],
    /// Numbers between the starts of two rows.
    pub stride: usize,
}

impl Out<'_> {
    fn check(&self, rows: usize, columns: usize) {
        let needed = if rows == 0 { 0 } else { (rows - 1) * self.stride + columns };
        assert!(self.stride >= columns && self.cells.len() >= needed, "the product does not fit where it goes");
    }
}

/// Rows and columns of one tile, and where it begins.
#[derive(Debug, Clone, Copy)]
struct Tile {
    row: usize,
    rows: usize,
    panel: usize,
    /// Columns that are stored, at most [`PANEL`].
    columns: usize,
}

/// `out = left x right + bias`, in single precision.
pub fn multiply(isa: Isa, left: Left<'_, f32>, right: &Panels, out: &mut Out<'_>) {
    left.check(right.depth);
    out.check(left.rows, right.columns);
    let rows_max = match isa {
        Isa::Portable => portable::ROWS_MAX,
        Isa::Avx2 => AVX2_ROWS_MAX,
        Isa::Avx512 | Isa::Vnni => AVX512_ROWS_MAX,
    };
    tiles(left.rows, right.columns, rows_max, |tile| match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Vnni => avx512::multiply(left, right, out, tile),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => avx2::multiply(left, right, out, tile),
        _ => portable::multiply(left, right, out, tile),
    });
}

/// Rows of bytes with what turns them back into numbers: `scale x (byte - zero)`.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    /// The bytes; a row's are `stride` apart.
    pub left: Left<'a, u8>,
    /// One a row.
    pub scales: &'a [f32],
    /// One a row.
    pub zeros: &'a [i32],
}

/// `out = left x right + bias` over bytes, exact in integers before it is scaled.
pub fn multiply_bytes(isa: Isa, bytes: Bytes<'_>, right: &QuantizedPanels, out: &mut Out<'_>) {
    bytes.left.check(right.depth_padded());
    out.check(bytes.left.rows, right.columns);
    assert!(bytes.scales.len() >= bytes.left.rows && bytes.zeros.len() >= bytes.left.rows, "a scale and a zero a row");
    let rows_max = match isa {
        Isa::Portable => portable::ROWS_MAX,
        Isa::Avx2 | Isa::Avx512 => AVX2_BYTE_ROWS_MAX,
        Isa::Vnni => AVX512_ROWS_MAX,
    };
    tiles(bytes.left.rows, right.columns, rows_max, |tile| match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Vnni => avx512::multiply_bytes(bytes, right, out, tile),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => avx2::multiply_bytes(bytes, right, out, tile),
        _ => portable::multiply_bytes(bytes, right, out, tile),
    });
}

/// Rows of a tile that fit into the registers beside two of the right side and one of the left.
const AVX512_ROWS_MAX: usize = 12;
const AVX2_ROWS_MAX: usize = 6;
const AVX2_BYTE_ROWS_MAX: usize = 4;

/// Walks a product tile by tile: groups of rows, in each the panels, in each the rows. Rows are shared out evenly, so that
/// the last tile is not a thin one.
fn tiles(rows: usize, columns: usize, rows_max: usize, mut tile: impl FnMut(Tile)) {
    let panels = columns.div_ceil(PANEL);
    for first in (0..rows).step_by(ROWS_TOGETHER) {
        let group = (rows - first).min(ROWS_TOGETHER);
        let parts = group.div_ceil(rows_max);
        for panel in 0..panels {
            let width = (columns - panel * PANEL).min(PANEL);
            let mut row = first;
            for part in 0..parts {
                let height = (first + group - row).div_ceil(parts - part);
                tile(Tile { row, rows: height, panel, columns: width });
                row += height;
            }
        }
    }
}

#[cfg(test)]
mod tests;
