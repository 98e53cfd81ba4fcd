//! Random streams by key: what is drawn depends on who draws it and for what, never on who drew before.
//!
//! A [`Key`] is a 64-bit hash of (seed, replication, name, user, request, purpose). Its [`Stream`] is the
//! SplitMix64 generator (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014;
//! mixing constants: Stafford's variant 13) started at the key. It is counter based, costs about a nanosecond a
//! draw and nothing to start, so that every request can have streams of its own. Values are fixed for ever:
//! golden files rest on them.

use rand::rand_core::TryRng;
use std::convert::Infallible;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A name, hashed when the program is compiled: for draws of every request.
#[derive(Clone, Copy, Debug)]
pub struct Name(u64);

impl Name {
    /// The hash of a name: FNV-1a.
    pub const fn new(name: &str) -> Name {
        let bytes = name.as_bytes();
        let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        Name(hash)
    }
}

/// Names a random stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Key(u64);

impl Key {
    /// The key of one replication of a run.
    pub const fn root(seed: u64, replication: u64) -> Key {
        Key(mix(mix(seed.wrapping_add(GOLDEN)) ^ replication.wrapping_mul(0xd134_2543_de82_ef95)))
    }
    /// A key below this one, by name.
    pub fn named(self, name: &str) -> Key {
        self.under(Name::new(name))
    }
    /// The same for a name that is known when the program is compiled.
    #[inline]
    pub const fn under(self, name: Name) -> Key {
        self.with(name.0)
    }
    /// A key below this one, by number.
    #[inline]
    pub const fn with(self, n: u64) -> Key {
        Key(mix(self.0 ^ n.wrapping_add(1).wrapping_mul(GOLDEN)))
    }
    /// The stream of this key.
    #[inline]
    pub const fn stream(self) -> Stream {
        Stream { state: self.0 }
    }
    /// The key as a number, for digests.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// A random stream, see the module's head.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }
    /// Uniform on [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
    /// Uniform on (0, 1]: safe under a logarithm.
    pub fn unit_open(&mut self) -> f64 {
        1.0 - self.unit()
    }
    /// Uniform on 0 … n − 1 (the bias of n / 2^64 is ignored); 0 for n = 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }
    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

impl TryRng for Stream {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.bits() >> 32) as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            let bytes = self.bits().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_fixed_for_ever() {
        let mut stream = Key::root(1, 0).named("users").with(7).stream();
        let drawn = [stream.bits(), stream.bits(), stream.bits()];
        let again = {
            let mut s = Key::root(1, 0).named("users").with(7).stream();
            [s.bits(), s.bits(), s.bits()]
        };
        assert_eq!(drawn, again);
        // SplitMix64's published first outputs for state 0.
        let mut zero = Stream { state: 0 };
        assert_eq!(zero.bits(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(zero.bits(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn neighbouring_keys_are_unrelated() {
        // First draws of 100,000 consecutive keys: mean, variance and lag-1 correlation of a uniform.
        let n = 100_000;
        let u: Vec<f64> = (0..n).map(|i| Key::root(3, 0).with(i).stream().unit()).collect();
        let mean = u.iter().sum::<f64>() / n as f64;
        let var = u.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        let lag = u.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n as f64 / var;
        // Five standard errors each.
        assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0_f64 / n as f64).sqrt(), "{mean}");
        assert!((var - 1.0 / 12.0).abs() < 0.002, "{var}");
        assert!(lag.abs() < 5.0 / (n as f64).sqrt(), "{lag}");
    }
}
