//! Which servers of an upstream group a request has tried: a bit each. The first 64 stand in the request's own row; groups beyond that
//! have further words beside it, as in nginx (`ngx_http_upstream_rr_peer_data_t`: `data`, or memory of the request's own).

/// Servers in the first word.
const WORD: usize = 64;

/// The servers that one request has tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried<'a> {
    first: u64,
    further: &'a [u64],
}

impl Tried<'_> {
    /// Whether a server is among them.
    #[inline]
    pub(super) fn has(self, server: usize) -> bool {
        let word = match server / WORD {
            0 => self.first,
            n => self.further.get(n - 1).copied().unwrap_or(0),
        };
        word >> (server % WORD) & 1 == 1
    }

    /// Whether it is the first try.
    #[inline]
    pub(super) fn none(self) -> bool {
        self.first == 0 && self.further.iter().all(|word| *word == 0)
    }
}

/// The words beyond the first of all requests, by the number of their row.
#[derive(Debug)]
pub(super) struct Further {
    /// Words of a request.
    each: usize,
    words: Vec<u64>,
}

impl Further {
    /// For a group of so many servers.
    pub(super) fn new(servers: usize) -> Further {
        Further { each: servers.div_ceil(WORD).saturating_sub(1), words: Vec::new() }
    }

    /// The request of a row has tried none.
    pub(super) fn clear(&mut self, row: u32) {
        if self.each > 0 {
            let from = row as usize * self.each;
            if self.words.len() < from + self.each {
                self.words.resize(from + self.each, 0);
            }
            self.words[from..from + self.each].fill(0);
        }
    }

    /// The request of a row, whose first word is this, tries a server: its first word from now on.
    #[must_use]
    pub(super) fn add(&mut self, row: u32, first: u64, server: usize) -> u64 {
        match server / WORD {
            0 => first | 1 << server,
            n => {
                self.words[row as usize * self.each + n - 1] |= 1 << (server % WORD);
                first
            }
        }
    }

    /// What the request of a row, whose first word is this, has tried.
    #[inline]
    pub(super) fn with(&self, row: u32, first: u64) -> Tried<'_> {
        let from = row as usize * self.each;
        Tried { first, further: &self.words[from..from + self.each] }
    }
}

#[cfg(test)]
impl Tried<'static> {
    /// Some of the first 64.
    pub(super) fn first(bits: u64) -> Tried<'static> {
        Tried { first: bits, further: &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_of_a_large_group_has_a_bit_of_its_own() {
        let mut further = Further::new(200);
        let mut first = [0; 2];
        for row in [0, 1] {
            further.clear(row);
            for server in (row as usize..200).step_by(2) {
                first[row as usize] = further.add(row, first[row as usize], server);
            }
        }
        for (row, server) in (0..2).flat_map(|row| (0..200).map(move |server| (row, server))) {
            let tried = further.with(row, first[row as usize]);
            assert_eq!(tried.has(server), server % 2 == row as usize, "{row}: {server}");
        }
        further.clear(1);
        assert!(further.with(1, 0).none() && !further.with(0, first[0]).none());
    }

    #[test]
    fn a_group_of_up_to_64_needs_nothing_beside_the_row() {
        let mut further = Further::new(64);
        further.clear(1_000);
        let first = further.add(1_000, 1, 63);
        assert_eq!((first, further.words.len()), (1 | 1 << 63, 0));
        assert!(further.with(1_000, first).has(63));
    }
}
