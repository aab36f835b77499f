//! Weights laid out as the products read them: panels of [`PANEL`] columns, deep before wide.

use super::PANEL;

/// Numbers of the depth that the byte path takes at once.
pub const GROUP: usize = 4;

/// A matrix in single precision, with the bias that every row of a product gets.
#[derive(Debug, Clone, Default)]
pub struct Panels {
    /// Rows of the matrix.
    pub depth: usize,
    /// Its columns, without the padding of the last panel.
    pub columns: usize,
    pub(super) cells: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Panels {
    /// Packs weights as models store them: `columns` rows of `depth` numbers.
    pub fn of_weights(weights: &[f32], bias: &[f32], depth: usize) -> Panels {
        let columns = bias.len();
        assert_eq!(weights.len(), columns * depth, "a row of weights for every column");
        let mut panels = Panels::default();
        panels.shape(depth, columns);
        panels.bias[..columns].copy_from_slice(bias);
        panels.fill_columns(|column| &weights[column * depth..][..depth]);
        panels
    }

    /// Takes another shape, with zeros for bias; memory is kept. The cells are those of before until they are filled.
    pub fn shape(&mut self, depth: usize, columns: usize) {
        let width = columns.div_ceil(PANEL) * PANEL;
        (self.depth, self.columns) = (depth, columns);
        self.cells.resize(width * depth, 0.0);
        self.bias.clear();
        self.bias.resize(width, 0.0);
    }

    /// Fills every column with a slice of its own; the padding of the last panel with zeros.
    pub fn fill_columns<'a>(&mut self, column: impl Fn(usize) -> &'a [f32]) {
        for (at, panel) in self.cells.chunks_exact_mut(PANEL * self.depth.max(1)).enumerate() {
            for lane in 0..PANEL {
                let number = at * PANEL + lane;
                if number < self.columns {
                    for (cells, value) in panel.chunks_exact_mut(PANEL).zip(column(number)) {
                        cells[lane] = *value;
                    }
                } else {
                    panel.chunks_exact_mut(PANEL).for_each(|cells| cells[lane] = 0.0);
                }
            }
        }
    }

    /// Fills row by row of the depth, from slices of `columns` numbers.
    pub fn fill_rows<'a>(&mut self, row: impl Fn(usize) -> &'a [f32]) {
        let (depth, columns) = (self.depth, self.columns);
        for (at, panel) in self.cells.chunks_exact_mut(PANEL * depth.max(1)).enumerate() {
            let (first, width) = (at * PANEL, (columns - at * PANEL).min(PANEL));
            for (deep, cells) in panel.chunks_exact_mut(PANEL).enumerate() {
                cells[..width].copy_from_slice(&row(deep)[first..first + width]);
                cells[width..].fill(0.0);
            }
        }
    }

    pub(super) fn panel(&self, panel: usize) -> (&[f32], &[f32]) {
        let size = PANEL * self.depth;
        (&self.cells[panel * size..][..size], &self.bias[panel * PANEL..][..PANEL])
    }
}

/// A matrix of signed bytes with one scale a column.
#[derive(Debug, Clone)]
pub struct QuantizedPanels {
    /// Rows of the matrix.
    pub depth: usize,
    /// Its columns, without the padding of the last panel.
    pub columns: usize,
    /// In groups of [`GROUP`] along the depth: a column's four bytes lie together.
    pub(super) cells: Vec<i8>,
    pub(super) scales: Vec<f32>,
    /// The sum of each column's bytes: what a row's zero point adds to the product.
    pub(super) sums: Vec<i32>,
    pub(super) bias: Vec<f32>,
}

/// One panel of bytes with what belongs to its columns.
#[derive(Clone, Copy)]
pub(super) struct BytePanel<'a> {
    pub cells: &'a [i8],
    pub scales: &'a [f32],
    pub sums: &'a [i32],
    pub bias: &'a [f32],
}

impl QuantizedPanels {
    /// Rounds weights as models store them (`columns` rows of `depth` numbers) to bytes, symmetrically, each column by its
    /// own largest.
    pub fn of_weights(weights: &[f32], bias: &[f32], depth: usize) -> QuantizedPanels {
        let columns = bias.len();
        assert_eq!(weights.len(), columns * depth, "a row of weights for every column");
        let width = columns.div_ceil(PANEL) * PANEL;
        let padded = depth.div_ceil(GROUP) * GROUP;
        let mut panels = QuantizedPanels {
            depth,
            columns,
            cells: vec![0; width * padded],
            scales: vec![0.0; width],
            sums: vec![0; width],
            bias: vec![0.0; width],
        };
        panels.bias[..columns].copy_from_slice(bias);
        for (column, weights) in weights.chunks_exact(depth.max(1)).enumerate() {
            let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            let base = column / PANEL * PANEL * padded + column % PANEL * GROUP;
            let mut sum = 0;
            for (deep, weight) in weights.iter().enumerate() {
                // Between -127 and 127, since no weight is larger than the largest.
                let byte = (weight / scale).round() as i8;
                panels.cells[base + deep / GROUP * PANEL * GROUP + deep % GROUP] = byte;
                sum += i32::from(byte);
            }
            panels.scales[column] = scale;
            panels.sums[column] = sum;
        }
        panels
    }

    /// Bytes that a row of the left side must have.
    pub fn depth_padded(&self) -> usize {
        self.depth.div_ceil(GROUP) * GROUP
    }

    pub(super) fn panel(&self, panel: usize) -> BytePanel<'_> {
        let size = PANEL * self.depth_padded();
        let columns = panel * PANEL..(panel + 1) * PANEL;
        BytePanel {
            cells: &self.cells[panel * size..][..size],
            scales: &self.scales[columns.clone()],
            sums: &self.sums[columns.clone()],
            bias: &self.bias[columns],
        }
    }
}
