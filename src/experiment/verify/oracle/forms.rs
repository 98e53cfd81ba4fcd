//! Closed forms of queueing theory. Loads `a` are offered loads λ·s in servers (Erlang).

/// Erlang's loss formula by its recursion: B(n) = a·B(n−1) / (n + a·B(n−1)) (A. K. Erlang, 1917).
pub(super) fn erlang_b(a: f64, servers: u32) -> f64 {
    (1..=servers).fold(1.0, |b, n| a * b / (f64::from(n) + a * b))
}

/// Probability that an arrival waits in M/M/c: C = B / (1 − ρ(1 − B)).
pub(super) fn erlang_c(a: f64, servers: u32) -> f64 {
    let b = erlang_b(a, servers);
    b / (1.0 - a / f64::from(servers) * (1.0 - b))
}

/// Mean time in M/M/c with service time `s`: s + C·s / (c − a).
pub(super) fn mmc_mean(a: f64, servers: u32, s: f64) -> f64 {
    s + erlang_c(a, servers) * s / (f64::from(servers) - a)
}

/// P(T > t) in M/M/c of rate μ, where a ≠ c − 1: e^(−μt) (1 + C (1 − e^(−μt(c − 1 − a))) / (c − 1 − a)).
pub(super) fn mmc_tail(a: f64, servers: u32, s: f64, t: f64) -> f64 {
    let left = f64::from(servers) - 1.0 - a;
    let decay = |by: f64| libm::exp(-by * t / s);
    decay(1.0) * (1.0 + erlang_c(a, servers) * (1.0 - decay(left)) / left)
}

/// M/M/c/K: share lost, and mean time of those let in, by the probabilities of a birth-death chain.
pub(super) fn mmck(a: f64, servers: u32, room: u32, s: f64) -> (f64, f64) {
    let weights: Vec<f64> = (0..=room)
        .scan(1.0, |next, n| {
            let own = *next;
            *next *= a / f64::from((n + 1).min(servers));
            Some(own)
        })
        .collect();
    let total: f64 = weights.iter().sum();
    let lost = weights.last().map_or(0.0, |last| last / total);
    let level: f64 = weights.iter().zip(0_u32..).map(|(w, n)| w / total * f64::from(n)).sum();
    // Little: T = L / (λ(1 − loss)), λ = a / s.
    (lost, level * s / (a * (1.0 - lost)))
}

/// Mean time in M/G/1, first come first served, by Pollaczek and Khinchine: s + λs²(1 + cv²) / (2(1 − ρ)).
pub(super) fn pollaczek_khinchine(rate: f64, s: f64, cv: f64) -> f64 {
    s + rate * s * s * (1.0 + cv * cv) / (2.0 * (1.0 - rate * s))
}

/// Mean time in M/G/1 under processor sharing, whatever the law: s / (1 − ρ).
pub(super) fn processor_sharing(rate: f64, s: f64) -> f64 {
    s / (1.0 - rate * s)
}

/// Machine repairman: `users` who think for `z` on average and share one exponential server of mean `s`. Mean response and
/// throughput by mean value analysis (Reiser and Lavenberg, 1980).
pub(super) fn repairman(users: u32, z: f64, s: f64) -> (f64, f64) {
    (1..=users).fold((0.0, 0.0), |(response, throughput), n| {
        let queue = throughput * response;
        let response = s * (1.0 + queue);
        (response, f64::from(n) / (z + response))
    })
}

/// Mean number in M_t/G/∞ at `t` from an empty start, service uniform on `low` to `high`:
/// m(t) = ∫ λ(u) P(S > t − u) du over 0 to t (Eick, Massey and Whitt, 1993), by the midpoint rule.
pub(super) fn infinite_servers(rate: &dyn Fn(f64) -> f64, (low, high): (f64, f64), t: f64) -> f64 {
    const PARTS: u32 = 20_000;
    let longer = |span: f64| ((high - span) / (high - low)).clamp(0.0, 1.0);
    let step = t / f64::from(PARTS);
    let at = (0..PARTS).map(|i| (f64::from(i) + 0.5) * step);
    at.map(|u| rate(u) * longer(t - u)).sum::<f64>() * step
}

/// Users at one instant who ask again at once until `d`, served at `rate` in order of arrival: requests, mean latency and time
/// to the last answer. With R = users / rate: N = rate·d + users, mean = R(1 − R / (2(d + R))), end = d + R.
pub(super) fn closed_burst(users: f64, rate: f64, d: f64) -> (f64, f64, f64) {
    let full = users / rate;
    (rate * d + users, full * (1.0 - full / (2.0 * (d + full))), d + full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64, relative: f64) {
        assert!((got / want - 1.0).abs() < relative, "{got} is not {want}");
    }

    #[test]
    fn published_values() {
        // Tables of Erlang B and C; L. Kleinrock, Queueing Systems I, for M/M/1.
        near(erlang_b(100.0, 100), 0.075_70, 1e-3);
        near(erlang_b(1_000.0, 1_000), 0.024_81, 1e-3);
        near(erlang_c(4.0, 5), 0.554_1, 1e-3);
        near(mmc_mean(0.5, 1, 0.010), 0.020, 1e-12);
        near(mmc_tail(0.5, 1, 0.010, 0.020), libm::exp(-1.0), 1e-12);
    }

    #[test]
    fn forms_agree_where_they_meet() {
        // M/M/1 is M/G/1 with cv 1, is a repairman with endless users, is M/M/1/K with endless room.
        near(pollaczek_khinchine(50.0, 0.010, 1.0), mmc_mean(0.5, 1, 0.010), 1e-12);
        near(processor_sharing(50.0, 0.010), mmc_mean(0.5, 1, 0.010), 1e-12);
        near(repairman(200_000, 4_000.0, 0.010).0, 0.020, 1e-3);
        let (lost, mean) = mmck(0.5, 1, 200, 0.010);
        near(mean, 0.020, 1e-9);
        assert!(lost < 1e-50);
        // No room to wait: Erlang B, and nobody waits.
        let (lost, mean) = mmck(5.0, 4, 4, 0.1);
        near(lost, erlang_b(5.0, 4), 1e-12);
        near(mean, 0.1, 1e-12);
        // The tail's integral is the mean.
        let step = 0.000_1;
        let sum: f64 =
            (0..200_000).map(|i| mmc_tail(4.4, 5, 0.1, (f64::from(i) + 0.5) * step)).sum();
        near(sum * step, mmc_mean(4.4, 5, 0.1), 1e-6);
        // A constant rate long enough: λ·s.
        near(infinite_servers(&|_| 50.0, (0.2, 1.0), 3.0), 30.0, 1e-6);
    }
}
