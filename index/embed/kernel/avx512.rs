//! Products with AVX-512: tiles of twelve rows by 32 columns, whose sums stay in 24 of the 32 registers.
//!
//! `unsafe` is needed for instructions that a processor may lack and for loads without bounds checks. [`super::Isa::present`]
//! asks the processor first, and [`super::Left::check`] and [`super::Out::check`] hold the shapes against the slices.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::pack::{GROUP, Panels, QuantizedPanels};
use super::{AVX512_ROWS_MAX, Bytes, Left, Out, PANEL, Tile};

/// Calls the instance of a tile's function for its number of rows.
macro_rules! by_rows {
    ($rows:expr, $name:ident($($argument:expr),*)) => {
        match $rows {
            1 => $name::<1>($($argument),*),
            2 => $name::<2>($($argument),*),
            3 => $name::<3>($($argument),*),
            4 => $name::<4>($($argument),*),
            5 => $name::<5>($($argument),*),
            6 => $name::<6>($($argument),*),
            7 => $name::<7>($($argument),*),
            8 => $name::<8>($($argument),*),
            9 => $name::<9>($($argument),*),
            10 => $name::<10>($($argument),*),
            11 => $name::<11>($($argument),*),
            AVX512_ROWS_MAX => $name::<12>($($argument),*),
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

pub fn multiply(left: Left<'_, f32>, right: &Panels, out: &mut Out<'_>, tile: Tile) {
    let (cells, bias) = right.panel(tile.panel);
    let left_cells = &left.cells[tile.row * left.stride..];
    let target = &mut out.cells[tile.row * out.stride + tile.panel * PANEL..];
    // SAFETY: the caller has checked the shapes, so `rows` rows of `depth` numbers lie behind `left_cells`, and of `columns`
    // numbers behind `target`; a panel holds `depth` times 32 numbers. AVX-512 was found before this path was chosen.
    unsafe {
        by_rows!(
            tile.rows,
            floats(
                right.depth,
                left_cells.as_ptr(),
                left.stride,
                cells.as_ptr(),
                bias.as_ptr(),
                target.as_mut_ptr(),
                out.stride,
                tile.columns
            )
        );
    }
}

/// The lanes below `columns`, for the two registers of a row.
#[inline]
#[target_feature(enable = "avx512f")]
fn masks(columns: usize) -> (__mmask16, __mmask16) {
    let lanes = (1_u64 << columns) - 1;
    (lanes as __mmask16, (lanes >> 16) as __mmask16)
}

#[allow(clippy::too_many_arguments)]
#[target_feature(enable = "avx512f")]
unsafe fn floats<const ROWS: usize>(
    depth: usize,
    left: *const f32,
    left_stride: usize,
    cells: *const f32,
    bias: *const f32,
    out: *mut f32,
    out_stride: usize,
    columns: usize,
) {
    // SAFETY: see `multiply`.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        for deep in 0..depth {
            let low = _mm512_loadu_ps(cells.add(deep * PANEL));
            let high = _mm512_loadu_ps(cells.add(deep * PANEL + 16));
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = _mm512_set1_ps(*left.add(row * left_stride + deep));
                sums[0] = _mm512_fmadd_ps(factor, low, sums[0]);
                sums[1] = _mm512_fmadd_ps(factor, high, sums[1]);
            }
        }
        let (low, high) = masks(columns);
        let bias = [_mm512_loadu_ps(bias), _mm512_loadu_ps(bias.add(16))];
        for (row, sums) in sums.iter().enumerate() {
            let out = out.add(row * out_stride);
            _mm512_mask_storeu_ps(out, low, _mm512_add_ps(sums[0], bias[0]));
            _mm512_mask_storeu_ps(out.wrapping_add(16), high, _mm512_add_ps(sums[1], bias[1]));
        }
    }
}

pub fn multiply_bytes(bytes: Bytes<'_>, right: &QuantizedPanels, out: &mut Out<'_>, tile: Tile) {
    let panel = right.panel(tile.panel);
    let left = &bytes.left.cells[tile.row * bytes.left.stride..];
    let turned = Turned {
        scales: bytes.scales[tile.row..].as_ptr(),
        zeros: bytes.zeros[tile.row..].as_ptr(),
        column_scales: panel.scales.as_ptr(),
        column_sums: panel.sums.as_ptr(),
        bias: panel.bias.as_ptr(),
        out: out.cells[tile.row * out.stride + tile.panel * PANEL..].as_mut_ptr(),
        stride: out.stride,
        columns: tile.columns,
    };
    // SAFETY: as in `multiply`; rows are padded to whole groups of four bytes, and VNNI was found.
    unsafe {
        by_rows!(
            tile.rows,
            bytes_of(right.depth_padded() / GROUP, left.as_ptr(), bytes.left.stride, panel.cells.as_ptr(), &turned)
        );
    }
}

/// How sums of bytes become numbers, and where these go.
struct Turned {
    scales: *const f32,
    zeros: *const i32,
    column_scales: *const f32,
    column_sums: *const i32,
    bias: *const f32,
    out: *mut f32,
    stride: usize,
    columns: usize,
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn bytes_of<const ROWS: usize>(
    groups: usize,
    left: *const u8,
    left_stride: usize,
    cells: *const i8,
    turned: &Turned,
) {
    // SAFETY: see `multiply_bytes`.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
        for group in 0..groups {
            let cells = cells.add(group * PANEL * GROUP);
            let (low, high) = (_mm512_loadu_si512(cells.cast()), _mm512_loadu_si512(cells.add(64).cast()));
            for (row, sums) in sums.iter_mut().enumerate() {
                let four = left.add(row * left_stride + group * GROUP).cast::<i32>().read_unaligned();
                let four = _mm512_set1_epi32(four);
                sums[0] = _mm512_dpbusd_epi32(sums[0], four, low);
                sums[1] = _mm512_dpbusd_epi32(sums[1], four, high);
            }
        }
        let (low, high) = masks(turned.columns);
        for half in 0..2 {
            let (at, mask) = if half == 0 { (0, low) } else { (16, high) };
            let column_scales = _mm512_loadu_ps(turned.column_scales.add(at));
            let column_sums = _mm512_loadu_si512(turned.column_sums.add(at).cast());
            let bias = _mm512_loadu_ps(turned.bias.add(at));
            for (row, sums) in sums.iter().enumerate() {
                let zero = _mm512_mullo_epi32(_mm512_set1_epi32(*turned.zeros.add(row)), column_sums);
                let exact = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[half], zero));
                let scale = _mm512_mul_ps(_mm512_set1_ps(*turned.scales.add(row)), column_scales);
                let number = _mm512_add_ps(_mm512_mul_ps(exact, scale), bias);
                _mm512_mask_storeu_ps(turned.out.wrapping_add(row * turned.stride + at), mask, number);
            }
        }
    }
}
