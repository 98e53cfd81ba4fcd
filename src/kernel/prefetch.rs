//! Rows that are needed soon.

/// Asks the processor to load the cache line in which `row` begins, and does not wait for it. No result hangs on it; on processors other
/// than `x86_64` it does nothing.
#[inline]
pub fn prefetch<T>(row: &T) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(row);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
