//! What runs over rows between the products. Each function is written once in plain Rust over blocks of sixteen numbers and
//! compiled for each path, so that the compiler uses the widest registers that the path may use.
#![allow(unsafe_code)] // Only to call a path's instance, after `Isa::present` has asked the processor.

use super::Isa;

/// Numbers that are handled together: one register of AVX-512.
pub const LANES: usize = 16;

/// Makes a function that runs the same body compiled for the path's processor.
macro_rules! for_every_path {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $of:ty),*) = $body:ident) => {
        $(#[$doc])*
        pub fn $name(isa: Isa, $($argument: $of),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn wide($($argument: $of),*) {
                    $body::<true>($($argument),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn middle($($argument: $of),*) {
                    $body::<true>($($argument),*);
                }
                match isa {
                    // SAFETY: `Isa::present` has found these instructions.
                    Isa::Avx512 | Isa::Vnni => return unsafe { wide($($argument),*) },
                    // SAFETY: the same.
                    Isa::Avx2 => return unsafe { middle($($argument),*) },
                    Isa::Portable => (),
                }
            }
            let _ = isa;
            $body::<false>($($argument),*);
        }
    };
}

for_every_path! {
    /// The exact GELU over every number.
    gelu(cells: &mut [f32]) = gelu_body
}
for_every_path! {
    /// Each row of `width` numbers becomes the exponentials of `scale` times the numbers, over that of the largest; their sum
    /// stands in `sums`.
    exponentials(cells: &mut [f32], width: usize, scale: f32, sums: &mut [f32]) = exponentials_body
}
for_every_path! {
    /// Divides rows of `width` numbers, which are `stride` apart, by a number each.
    divide_rows(cells: &mut [f32], stride: usize, width: usize, by: &[f32]) = divide_rows_body
}
for_every_path! {
    /// Adds `more` and normalises each row of as many numbers as `gain` has: mean zero, variance one, then gain and bias.
    add_normalise(cells: &mut [f32], more: &[f32], gain: &[f32], bias: &[f32], epsilon: f32) = add_normalise_body
}
for_every_path! {
    /// Rounds each row of `width` numbers to bytes between its own ends; rows of bytes are `stride` apart, and what pads them
    /// is the byte of zero.
    quantize(cells: &[f32], width: usize, bytes: &mut [u8], stride: usize, scales: &mut [f32], zeros: &mut [i32]) =
        quantize_body
}
for_every_path! {
    /// Normalises each row of as many numbers as `gain` has into `out`: mean zero, variance one, then gain.
    normalise(cells: &[f32], gain: &[f32], epsilon: f32, out: &mut [f32]) = normalise_body
}
for_every_path! {
    /// The exact GELU over the first half of each row of twice `width` numbers, times the second half.
    gate(cells: &[f32], width: usize, out: &mut [f32]) = gate_body
}
for_every_path! {
    /// Turns each stretch of twice as many numbers as there are angles: its halves are the parts of so many points.
    turn(cells: &mut [f32], cosines: &[f32], sines: &[f32]) = turn_body
}
for_every_path! {
    /// Adds rows of `sum`'s length to it.
    add_rows(sum: &mut [f32], cells: &[f32]) = add_rows_body
}

/// `a x b + c`, in one step where the path has one. Without the instruction a call of the C library would do it.
#[inline(always)]
fn fused<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Adding and subtracting it rounds a number below 2^22 to a whole one; the sum's low bits are that number.
const ROUND: f32 = 12_582_912.0;

/// The exponential, to one unit in the last places, of numbers up to 88. Below -87 it is that of -87: zero, for shares.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    let x = if x < -87.0 { -87.0 } else { x };
    let rounded = fused::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let whole = rounded - ROUND;
    // ln 2 in two parts, the first with few enough digits that its product with a whole number is exact.
    let rest = fused::<FMA>(whole, -0.693_359_4, x);
    let rest = fused::<FMA>(whole, 2.121_944_4e-4, rest);
    // Taylor's series, whose terms beyond the sixth are below a unit in the last place for |rest| <= ln 2 / 2.
    let mut series = fused::<FMA>(rest, 1.0 / 720.0, 1.0 / 120.0);
    for term in [1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = fused::<FMA>(series, rest, term);
    }
    f32::from_bits(series.to_bits().wrapping_add(rounded.to_bits() << 23))
}

/// `x` times the share of a normal distribution below it. The error function is Abramowitz and Stegun's 7.1.26, whose error
/// is below 1.5e-7.
#[inline(always)]
fn gelu_of<const FMA: bool>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / fused::<FMA>(z, 0.327_591_1, 1.0);
    let mut series = fused::<FMA>(t, 1.061_405_4, -1.453_152);
    for term in [1.421_413_8, -0.284_496_74, 0.254_829_6] {
        series = fused::<FMA>(series, t, term);
    }
    let above = series * t * exp::<FMA>(-z * z);
    // The complement is that of |x|.
    let erf = (1.0 - above).copysign(x);
    0.5 * x * (1.0 + erf)
}

#[inline(always)]
fn gelu_body<const FMA: bool>(cells: &mut [f32]) {
    for cell in cells {
        *cell = gelu_of::<FMA>(*cell);
    }
}

/// The largest number of a row.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut blocks = row.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, cell) in lanes.iter_mut().zip(block) {
            *lane = if *cell > *lane { *cell } else { *lane };
        }
    }
    lanes.iter().chain(blocks.remainder()).fold(f32::NEG_INFINITY, |most, cell| if *cell > most { *cell } else { most })
}

/// The sum of what `of` makes of a row's numbers.
#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let mut blocks = row.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, cell) in lanes.iter_mut().zip(block) {
            *lane += of(*cell);
        }
    }
    lanes.iter().sum::<f32>() + blocks.remainder().iter().map(|cell| of(*cell)).sum::<f32>()
}

#[inline(always)]
fn exponentials_body<const FMA: bool>(cells: &mut [f32], width: usize, scale: f32, sums: &mut [f32]) {
    for (row, sum) in cells.chunks_exact_mut(width).zip(sums) {
        let most = largest(row) * scale;
        let of = |cell: f32| exp::<FMA>(fused::<FMA>(cell, scale, -most));
        let mut lanes = [0.0_f32; LANES];
        let mut blocks = row.chunks_exact_mut(LANES);
        for block in &mut blocks {
            for (lane, cell) in lanes.iter_mut().zip(block) {
                *cell = of(*cell);
                *lane += *cell;
            }
        }
        let mut rest = 0.0;
        for cell in blocks.into_remainder() {
            *cell = of(*cell);
            rest += *cell;
        }
        *sum = lanes.iter().sum::<f32>() + rest;
    }
}

#[inline(always)]
fn divide_rows_body<const FMA: bool>(cells: &mut [f32], stride: usize, width: usize, by: &[f32]) {
    for (row, by) in cells.chunks_mut(stride).zip(by) {
        let share = 1.0 / by;
        row[..width].iter_mut().for_each(|cell| *cell *= share);
    }
}

#[inline(always)]
fn add_normalise_body<const FMA: bool>(cells: &mut [f32], more: &[f32], gain: &[f32], bias: &[f32], epsilon: f32) {
    let width = gain.len();
    for (row, more) in cells.chunks_exact_mut(width).zip(more.chunks_exact(width)) {
        row.iter_mut().zip(more).for_each(|(cell, more)| *cell += more);
        let mean = sum(row, |cell| cell) / width as f32;
        let variance = sum(row, |cell| (cell - mean) * (cell - mean)) / width as f32;
        let steepness = 1.0 / (variance + epsilon).sqrt();
        for ((cell, gain), bias) in row.iter_mut().zip(gain).zip(bias) {
            *cell = fused::<FMA>((*cell - mean) * steepness, *gain, *bias);
        }
    }
}

#[inline(always)]
fn normalise_body<const FMA: bool>(cells: &[f32], gain: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = gain.len();
    for (row, out) in cells.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = sum(row, |cell| cell) / width as f32;
        let variance = sum(row, |cell| (cell - mean) * (cell - mean)) / width as f32;
        let steepness = 1.0 / (variance + epsilon).sqrt();
        for ((out, cell), gain) in out.iter_mut().zip(row).zip(gain) {
            *out = (*cell - mean) * steepness * *gain;
        }
    }
}

#[inline(always)]
fn gate_body<const FMA: bool>(cells: &[f32], width: usize, out: &mut [f32]) {
    for (row, out) in cells.chunks_exact(width * 2).zip(out.chunks_exact_mut(width)) {
        let (passes, gates) = row.split_at(width);
        for ((out, cell), gate) in out.iter_mut().zip(passes).zip(gates) {
            *out = gelu_of::<FMA>(*cell) * *gate;
        }
    }
}

#[inline(always)]
fn turn_body<const FMA: bool>(cells: &mut [f32], cosines: &[f32], sines: &[f32]) {
    for stretch in cells.chunks_exact_mut(cosines.len() * 2) {
        let (left, right) = stretch.split_at_mut(cosines.len());
        for ((x, y), (cosine, sine)) in left.iter_mut().zip(right).zip(cosines.iter().zip(sines)) {
            let (along, across) = (*x, *y);
            *x = fused::<FMA>(along, *cosine, -(across * *sine));
            *y = fused::<FMA>(across, *cosine, along * *sine);
        }
    }
}

#[inline(always)]
fn add_rows_body<const FMA: bool>(sum: &mut [f32], cells: &[f32]) {
    for row in cells.chunks_exact(sum.len()) {
        sum.iter_mut().zip(row).for_each(|(sum, cell)| *sum += cell);
    }
}

#[inline(always)]
fn quantize_body<const FMA: bool>(
    cells: &[f32],
    width: usize,
    bytes: &mut [u8],
    stride: usize,
    scales: &mut [f32],
    zeros: &mut [i32],
) {
    let rows = cells.chunks_exact(width).zip(bytes.chunks_mut(stride)).zip(scales.iter_mut().zip(zeros));
    for ((row, bytes), (scale, zero)) in rows {
        // Zero is between the ends, so that it has a byte of its own.
        let (least, most) = ends(row);
        let step = if most > least { (most - least) / 255.0 } else { 1.0 };
        let steps = 1.0 / step;
        let origin = (-least * steps).round();
        (*scale, *zero) = (step, origin as i32);
        let (used, padding) = bytes.split_at_mut(width);
        for (byte, cell) in used.iter_mut().zip(row) {
            let place = fused::<FMA>(*cell, steps, origin);
            let place = if place < 0.0 { 0.0 } else { place };
            let place = if place > 255.0 { 255.0 } else { place };
            *byte = (place + ROUND).to_bits() as u8;
        }
        padding.fill(origin as u8);
    }
}

/// The least and the largest of zero and a row's numbers.
#[inline(always)]
fn ends(row: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let mut blocks = row.chunks_exact(LANES);
    for block in &mut blocks {
        for ((low, high), cell) in low.iter_mut().zip(&mut high).zip(block) {
            *low = if *cell < *low { *cell } else { *low };
            *high = if *cell > *high { *cell } else { *high };
        }
    }
    let rest = blocks.remainder();
    let least = low.iter().chain(rest).fold(0.0, |least, cell| if *cell < least { *cell } else { least });
    let most = high.iter().chain(rest).fold(0.0, |most, cell| if *cell > most { *cell } else { most });
    (least, most)
}
