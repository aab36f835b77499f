//! Products in plain Rust, for processors without AVX2, and the yardstick of the other paths.

use super::pack::{GROUP, Panels, QuantizedPanels};
use super::{Bytes, Left, Out, PANEL, Tile};

/// Rows of a tile.
pub const ROWS_MAX: usize = 4;

pub fn multiply(left: Left<'_, f32>, right: &Panels, out: &mut Out<'_>, tile: Tile) {
    let (cells, bias) = right.panel(tile.panel);
    let mut sums = [[0.0_f32; PANEL]; ROWS_MAX];
    for (deep, cells) in cells.chunks_exact(PANEL).enumerate() {
        for (row, sums) in sums.iter_mut().take(tile.rows).enumerate() {
            let factor = left.cells[(tile.row + row) * left.stride + deep];
            sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += factor * cell);
        }
    }
    for (row, sums) in sums.iter().take(tile.rows).enumerate() {
        let out = &mut out.cells[(tile.row + row) * out.stride + tile.panel * PANEL..][..tile.columns];
        out.iter_mut().zip(sums).zip(bias).for_each(|((out, sum), bias)| *out = sum + bias);
    }
}

pub fn multiply_bytes(bytes: Bytes<'_>, right: &QuantizedPanels, out: &mut Out<'_>, tile: Tile) {
    let panel = right.panel(tile.panel);
    for row in tile.row..tile.row + tile.rows {
        let left = &bytes.left.cells[row * bytes.left.stride..][..right.depth_padded()];
        let mut sums = [0_i32; PANEL];
        for (left, cells) in left.chunks_exact(GROUP).zip(panel.cells.chunks_exact(PANEL * GROUP)) {
            for (sum, cells) in sums.iter_mut().zip(cells.chunks_exact(GROUP)) {
                for (left, cell) in left.iter().zip(cells) {
                    *sum += i32::from(*left) * i32::from(*cell);
                }
            }
        }
        let (scale, zero) = (bytes.scales[row], bytes.zeros[row]);
        let out = &mut out.cells[row * out.stride + tile.panel * PANEL..][..tile.columns];
        for (column, out) in out.iter_mut().enumerate() {
            let exact = (sums[column] - zero * panel.sums[column]) as f32;
            *out = exact * (scale * panel.scales[column]) + panel.bias[column];
        }
    }
}
