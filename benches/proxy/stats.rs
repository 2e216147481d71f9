//! What is said about repeated measurements: median, quartiles, minimum, percentiles. Never drops a value.

use std::fmt;

/// The spread of one figure over the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub min: f64,
    pub q1: f64,
    pub median: f64,
    pub q3: f64,
}

impl Spread {
    /// The spread of `values`; all NaN when there are none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share| interpolated(&values, share);
        Self { min: at(0.0), q1: at(0.25), median: at(0.5), q3: at(0.75) }
    }

    /// Round by round, `ours` divided by `theirs`: a disturbance that lasts longer than a round hits both.
    pub fn of_ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }
}

/// `median (q1 to q3, min m)`, with the formatter's precision or one digit.
impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, q1, median, q3 } = self;
        let digits = out.precision().unwrap_or(1);
        write!(out, "{median:.digits$} ({q1:.digits$} to {q3:.digits$}, min {min:.digits$})")
    }
}

/// The value below which `share` of the sorted `values` lies (nearest rank): one that was measured.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let (below, part) = position(sorted, share);
    sorted.get(below + usize::from(part >= 0.5)).copied().unwrap_or(f64::NAN)
}

/// The same for few values: between two of them where the share falls between.
fn interpolated(sorted: &[f64], share: f64) -> f64 {
    let (below, part) = position(sorted, share);
    match (sorted.get(below), sorted.get(below + 1)) {
        (Some(low), Some(high)) => low + (high - low) * part,
        (Some(last), None) => *last,
        _ => f64::NAN,
    }
}

/// The index at or below `share` of the list, and how far it is to the next.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into a list that fits into memory"
)]
fn position(sorted: &[f64], share: f64) -> (usize, f64) {
    let exact = sorted.len().saturating_sub(1) as f64 * share;
    (exact as usize, exact.fract())
}

/// `total` divided among `count`.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub fn each(total: f64, count: usize) -> f64 {
    total / count as f64
}

/// KiB as MiB.
#[expect(clippy::cast_precision_loss, reason = "no process here has 2^52 KiB")]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
