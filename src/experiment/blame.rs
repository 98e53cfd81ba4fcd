//! Each way of failing is put down to one limit at most, so that the blame sums to the failures exactly.

use super::result::{Blame, Bottleneck, FailureRow};

/// Words that causes and limits share without meaning the same.
const COMMON: &[&str] = &["timeout", "rate"];

/// Finds the limit behind each way of failing.
pub(super) fn blame(failures: &mut [FailureRow], limits: &[Bottleneck]) {
    for row in failures {
        // Whoever gave up waiting was refused by nobody.
        row.blame = if row.cause == "client_timeout" {
            waited(row, limits).or_else(|| refused(row, limits))
        } else {
            refused(row, limits).or_else(|| waited(row, limits))
        };
    }
}

fn found(limit: &Bottleneck, how: &str) -> Blame {
    Blame {
        node: limit.node.clone(),
        limit: limit.limit.clone(),
        about: limit.about.clone(),
        how: how.into(),
    }
}

/// The limit of the same node that refused: the one whose name the cause shares, else the one whose count fits best.
fn refused(row: &FailureRow, limits: &[Bottleneck]) -> Option<Blame> {
    // Words that mean the same count first; a word in common that need not decides only where none does.
    let score = |limit: &Bottleneck| {
        if limit.limit == row.cause {
            return (usize::MAX, 0);
        }
        let shared = limit.limit.split('_').filter(|word| row.cause.split('_').any(|w| w == *word));
        let (common, telling): (Vec<&str>, Vec<&str>) =
            shared.partition(|word| COMMON.contains(word));
        (telling.len(), common.len())
    };
    let misfit = |limit: &Bottleneck| (limit.failures.value - row.count.value).abs();
    limits
        .iter()
        .filter(|limit| limit.node == row.node && limit.failures.value > 0.0)
        .min_by(|a, b| score(b).cmp(&score(a)).then(misfit(a).total_cmp(&misfit(b))))
        .map(|limit| found(limit, "refused"))
}

/// Who gives up waits for something: the limit that made calls wait longest.
fn waited(row: &FailureRow, limits: &[Bottleneck]) -> Option<Blame> {
    if !row.cause.ends_with("timeout") {
        return None;
    }
    limits
        .iter()
        .filter(|limit| limit.waiting.value > 0.0)
        .max_by(|a, b| a.waiting.value.total_cmp(&b.waiting.value))
        .map(|limit| found(limit, "waited"))
}
